"""Hold an interval's features against those that the last model was trained on; a bound that is broken is exit 4.

spark-submit jobs/drift.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--allow-gaps] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("drift", sys.argv[1:]))
