"""Show how a pipeline is: last runs, ages of tables, rows, champion, and what is stale or failed (exit 1).

spark-submit jobs/status.py --config conf/flights.yaml [--json] [--max-age 26h] [--runs N]; plain python starts it sooner.
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("status", sys.argv[1:]))
