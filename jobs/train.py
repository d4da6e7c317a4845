"""Train the network on the executors.

spark-submit jobs/train.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("train")
