"""Score an interval's rows with a registered model, labelled or not; lands and cleans them first where that is to be done.

spark-submit jobs/predict.py --config conf/flights.yaml [--model champion] [--from DATE --to DATE] [--every LENGTH] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("predict")
