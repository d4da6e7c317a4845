"""Compare the models of two evaluation runs on the same test rows, in the terminal and as HTML.

spark-submit jobs/compare.py --config conf/flights.yaml RUN RUN
"""

import sys

from pipelines.interruption import end_process
from pipelines.runtime.command_line import main

if __name__ == "__main__":
    end_process(main("compare", sys.argv[1:]))
