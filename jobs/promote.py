"""Make another version the champion, or go back to the one before.

spark-submit jobs/promote.py --config conf/flights.yaml (--version V | --rollback) [--reason TEXT] [--by NAME]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("promote")
