"""Search the configuration of training; the best trial is the run of train that evaluate goes on with.

spark-submit jobs/search.py --config conf/flights.yaml [--from DATE --to DATE] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("search")
