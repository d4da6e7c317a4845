"""Make another version the champion, or go back to the one before.

spark-submit jobs/promote.py --config conf/flights.yaml (--version V | --rollback) [--reason TEXT] [--by NAME]
"""

import sys

from pipelines.runtime.command_line import main

if __name__ == "__main__":
    sys.exit(main("promote", sys.argv[1:]))
