"""Send quarantined rows through their contract again, after it was corrected; those that pass now become clean rows.

spark-submit jobs/replay.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("replay", sys.argv[1:]))
