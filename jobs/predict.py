"""Score an interval's rows with a registered model, labelled or not; lands and cleans them first where that is to be done.

spark-submit jobs/predict.py --config conf/flights.yaml [--model champion] [--from DATE --to DATE] [--every LENGTH] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("predict", sys.argv[1:]))
