"""Score validation and test, measure, and write the report.

spark-submit jobs/evaluate.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

import sys

from pipelines.runtime.command_line import main

if __name__ == "__main__":
    sys.exit(main("evaluate", sys.argv[1:]))
