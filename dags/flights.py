"""The flights pipeline on a schedule: one run a year of data, one task a job, each a spark-submit of its own.

Airflow lives in an environment of its own and knows of ringmill only its folder, from RINGMILL_HOME.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

STEPS = ("ingest", "clean", "features", "train", "evaluate", "publish", "predict")
ZONE = "America/New_York"
SUBMIT = (
    'cd "$RINGMILL_HOME" && . setup/env.sh && spark-submit jobs/{step}.py --config conf/flights.yaml '
    "--from {{{{ data_interval_start.in_timezone('{zone}').isoformat() }}}} "
    "--to {{{{ data_interval_end.in_timezone('{zone}').isoformat() }}}}"
)

with DAG(
    "ringmill_flights",
    description="Will a flight arrive more than 15 minutes late?",
    # A plain cron string is a trigger without an interval; this one hands each run the year that has ended.
    schedule=CronDataIntervalTimetable("0 0 1 1 *", timezone=ZONE),
    start_date=pendulum.datetime(2013, 1, 1, tz=ZONE),
    end_date=pendulum.datetime(2013, 12, 31, tz=ZONE),
    catchup=True,
    max_active_runs=1,
    # For what failed outside (exit 5); after 2, 3 or 4 the same inputs fail the same way, at once.
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["ringmill"],
) as dag:
    tasks = [
        BashOperator(
            task_id=step,
            bash_command=SUBMIT.format(step=step, zone=ZONE),
            env={"RINGMILL_HOME": os.environ.get("RINGMILL_HOME", os.getcwd())},  # noqa: PTH109
            append_env=True,
        )
        for step in STEPS
    ]
    for before, after in pairwise(tasks):
        before >> after
