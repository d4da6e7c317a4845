"""Hold an interval's features against those that the last model was trained on; a bound that is broken is exit 4.

spark-submit jobs/drift.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.drift import STEP

if __name__ == "__main__":
    sys.exit(run_application("drift", [STEP], sys.argv[1:]))
