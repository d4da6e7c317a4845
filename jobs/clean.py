"""Judge every landed row: clean, quarantined, duplicate or filtered.

spark-submit jobs/clean.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.clean import STEP

if __name__ == "__main__":
    sys.exit(run_application("clean", [STEP], sys.argv[1:]))
