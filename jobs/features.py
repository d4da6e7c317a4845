"""Derive, fit on the train split, scale, and write the training table.

spark-submit jobs/features.py --config conf/flights.yaml [--from DATE --to DATE] [--allow-gaps] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("features", sys.argv[1:]))
