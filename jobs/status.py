"""Show how a pipeline is: last runs, ages of tables, rows, champion, and what is stale or failed (exit 1).

spark-submit jobs/status.py --config conf/flights.yaml [--json] [--max-age 26h] [--runs N]; plain python starts it sooner.
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("status")
