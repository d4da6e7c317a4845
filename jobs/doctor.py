"""Check a cluster for the ranks of a training: settings, slots, and each executor's processor and C library.

spark-submit jobs/doctor.py --config conf/flights.yaml [--json]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("doctor")
