"""Register a run's model and hold it against the gate: the first that passes becomes champion. A refusal is exit 4.

spark-submit jobs/publish.py --config conf/flights.yaml [--from DATE --to DATE] [--run RUN] [--force]
"""

from pipelines.runtime.command_line import run_program

if __name__ == "__main__":
    run_program("publish")
