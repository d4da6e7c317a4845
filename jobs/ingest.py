"""Land the sources of a pipeline as they were received.

spark-submit jobs/ingest.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.ingest import STEP

if __name__ == "__main__":
    sys.exit(run_application("ingest", [STEP], sys.argv[1:]))
