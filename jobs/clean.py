"""Validate every landed row: clean, quarantined, duplicate or filtered.

spark-submit jobs/clean.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("clean")
