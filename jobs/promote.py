"""Make another version the champion, or go back to the one before.

spark-submit jobs/promote.py --config conf/flights.yaml (--version V | --rollback) [--reason TEXT] [--by NAME]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("promote", sys.argv[1:]))
