"""Run a whole pipeline in one application: ingest, clean, features, train, evaluate, publish; then say what came of it.

spark-submit jobs/pipeline.py --config conf/flights.yaml [--from DATE --to DATE] [--allow-gaps] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("pipeline")
