"""Train the network on the executors.

spark-submit jobs/train.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("train", sys.argv[1:]))
