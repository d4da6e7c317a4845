"""Search the configuration of training; the best trial is the run of train that evaluate goes on with.

spark-submit jobs/search.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.search import STEP

if __name__ == "__main__":
    sys.exit(run_application("search", [STEP], sys.argv[1:]))
