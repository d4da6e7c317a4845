"""Search the configuration of training; the best trial is the run of train that evaluate goes on with.

spark-submit jobs/search.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("search", sys.argv[1:]))
