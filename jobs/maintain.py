"""Keep a pipeline's tables small: compact files, expire snapshots, remove what killed runs left behind.

spark-submit jobs/maintain.py --config conf/flights.yaml [--dry-run]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("maintain")
