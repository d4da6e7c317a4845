"""Send quarantined rows through their contract again, after it was corrected; those that pass now become clean rows.

spark-submit jobs/replay.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("replay")
