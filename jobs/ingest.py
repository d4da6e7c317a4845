"""Land the sources of a pipeline as they were received.

spark-submit jobs/ingest.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("ingest")
