"""Derive, fit on the train split, scale, and write the training table.

spark-submit jobs/features.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.features import STEP

if __name__ == "__main__":
    sys.exit(run_application("features", [STEP], sys.argv[1:]))
