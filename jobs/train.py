"""Train the network on the executors.

spark-submit jobs/train.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.train import STEP

if __name__ == "__main__":
    sys.exit(run_application("train", [STEP], sys.argv[1:]))
