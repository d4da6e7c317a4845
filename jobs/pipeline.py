"""Run a whole pipeline in one application: ingest, clean, features, train, evaluate, publish; then say what came of it.

spark-submit jobs/pipeline.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.pipeline import STEPS
from pipelines.flows.summary import print_summary

if __name__ == "__main__":
    sys.exit(run_application("pipeline", STEPS, sys.argv[1:], print_summary))
