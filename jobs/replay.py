"""Send quarantined rows through their contract again, after it was mended; those that pass now become clean rows.

spark-submit jobs/replay.py --config conf/flights.yaml [--from DATE --to DATE] [--every LENGTH] [--force]
"""

import sys

from pipelines.flows.application import run_application
from pipelines.flows.replay import STEP

if __name__ == "__main__":
    sys.exit(run_application("replay", [STEP], sys.argv[1:]))
