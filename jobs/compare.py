"""Compare the models of two evaluation runs on the same test rows, in the terminal and as HTML.

spark-submit jobs/compare.py --config conf/flights.yaml RUN RUN
"""

import sys

from pipelines.flows.compare import run_comparison

if __name__ == "__main__":
    sys.exit(run_comparison(sys.argv[1:]))
