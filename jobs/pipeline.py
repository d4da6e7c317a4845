"""Run a whole pipeline in one application: ingest, clean, features, train, evaluate, publish; then say what came of it.

spark-submit jobs/pipeline.py --config conf/flights.yaml [--from DATE --to DATE] [--allow-gaps] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("pipeline", sys.argv[1:]))
