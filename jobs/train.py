"""Train the network on the executors.

spark-submit jobs/train.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.runtime.command_line import main

if __name__ == "__main__":
    sys.exit(main("train", sys.argv[1:]))
