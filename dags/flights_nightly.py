"""The flights pipeline night by night: each night lands, cleans and scores its own day, each Monday a model is trained on the
four weeks before.

A night is an interval, the weeks are a window: docs/data.md explains both. `make run-nightly` plays 60 such nights.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

ZONE = "America/New_York"
NIGHTLY, WEEKLY = ("ingest", "clean", "predict"), ("features", "train", "evaluate", "publish")
WINDOW_DAYS = 28
SUBMIT = 'cd "$RINGMILL_HOME" && . setup/env.sh && spark-submit jobs/{step}.py --config conf/flights_nightly.yaml {span}'
DAY = f"data_interval_start.in_timezone('{ZONE}').start_of('day')"
# The runs begin at three, when the last day is whole; their intervals are the days themselves.
LAST = f"data_interval_end.in_timezone('{ZONE}').start_of('day')"


def _span(start: str, end: str) -> str:
    return f"--from {{{{ {start}.isoformat() }}}} --to {{{{ {end}.isoformat() }}}}"


def _dag(name: str, cron: str, days: tuple[str, str], steps: tuple[str, ...], span: str, description: str) -> DAG:
    first, last = (pendulum.parse(day, tz=ZONE) for day in days)
    with DAG(
        name,
        description=description,
        schedule=CronDataIntervalTimetable(cron, timezone=ZONE),
        start_date=first,
        end_date=last,
        catchup=True,
        max_active_runs=1,
        # For what failed outside (exit 5), and for a window whose last night is not cleaned yet (exit 3).
        default_args={"retries": 2, "retry_delay": timedelta(minutes=30)},
        tags=["ringmill"],
    ) as dag:
        tasks = [
            BashOperator(
                task_id=step,
                bash_command=SUBMIT.format(step=step, span=span),
                env={"RINGMILL_HOME": os.environ.get("RINGMILL_HOME", os.getcwd())},  # noqa: PTH109
                append_env=True,
            )
            for step in steps
        ]
        for before, after in pairwise(tasks):
            before >> after
    return dag


nightly = _dag(
    "ringmill_flights_nightly",
    "0 3 * * *",
    ("2013-01-01", "2013-03-02"),
    NIGHTLY,
    _span(DAY, LAST),
    "Land, clean and score the day that has ended. Scoring fails until a model is published; nothing waits for it.",
)
weekly = _dag(
    "ringmill_flights_weekly",
    "0 4 * * 1",
    ("2013-01-22", "2013-02-24"),  # the first week whose window has four weeks of data, and the last
    WEEKLY,
    _span(f"{LAST}.subtract(days={WINDOW_DAYS})", LAST),
    "Fit features, train, evaluate and publish on the last four weeks.",
)
