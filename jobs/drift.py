"""Hold an interval's features against those that the last model was trained on; a bound that is broken is exit 4.

spark-submit jobs/drift.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--allow-gaps] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("drift")
