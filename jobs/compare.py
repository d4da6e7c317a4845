"""Compare the models of two evaluation runs on the same test rows, in the terminal and as HTML.

spark-submit jobs/compare.py --config conf/flights.yaml RUN RUN
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("compare")
