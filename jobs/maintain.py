"""Keep a pipeline's tables small: compact files, expire snapshots, remove what killed runs left behind.

spark-submit jobs/maintain.py --config conf/flights.yaml [--dry-run]
"""

import sys

from pipelines.flows.maintain import run_maintenance

if __name__ == "__main__":
    sys.exit(run_maintenance(sys.argv[1:]))
