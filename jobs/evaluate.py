"""Score validation and test, measure, and write the report.

spark-submit jobs/evaluate.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("evaluate", sys.argv[1:]))
