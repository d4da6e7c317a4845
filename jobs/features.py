"""Derive, fit on the train split, scale, and write the training table.

spark-submit jobs/features.py --config conf/flights.yaml [--from DATE --to DATE] [--allow-gaps] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("features")
