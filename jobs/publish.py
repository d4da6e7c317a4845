"""Register a run's model and hold it against the gate: the first that passes becomes champion. A refusal is exit 4.

spark-submit jobs/publish.py --config conf/flights.yaml [--from DATE --to DATE] [--run RUN] [--force]
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("publish", sys.argv[1:]))
