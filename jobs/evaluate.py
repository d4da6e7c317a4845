"""Score validation and test, measure, and write the report.

spark-submit jobs/evaluate.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.evaluate import STEP

if __name__ == "__main__":
    sys.exit(run_application("evaluate", [STEP], sys.argv[1:]))
