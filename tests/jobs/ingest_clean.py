"""Ingest and clean in one application: what the kill test starts and kills.

spark-submit tests/jobs/ingest_clean.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows import clean, ingest
from pipelines.flows.application import run_application

if __name__ == "__main__":
    sys.exit(run_application("ingest and clean", [ingest.STEP, clean.STEP], sys.argv[1:]))
