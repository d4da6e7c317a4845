"""Ingest and clean in one application: what the kill test starts and kills.

spark-submit tests/jobs/ingest_clean.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.runtime.application import run_application
from pipelines.steps import clean, ingest

if __name__ == "__main__":
    sys.exit(run_application("ingest and clean", [ingest.STEP, clean.STEP], sys.argv[1:]))
