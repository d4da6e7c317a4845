"""Land the sources of a pipeline as they were received.

spark-submit jobs/ingest.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("ingest", sys.argv[1:]))
