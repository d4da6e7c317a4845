"""Keep a pipeline's tables small: compact files, expire snapshots, remove what killed runs left behind.

spark-submit jobs/maintain.py --config conf/flights.yaml [--dry-run]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("maintain", sys.argv[1:]))
