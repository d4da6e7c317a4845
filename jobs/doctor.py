"""Check a cluster for the ranks of a training: settings, slots, and each executor's processor and C library.

spark-submit jobs/doctor.py --config conf/flights.yaml [--json]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("doctor", sys.argv[1:]))
