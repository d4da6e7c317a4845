"""The DAGs of each conf/*.yaml that has a section `schedule`: one for its nights, one for its training.

Airflow lives in an environment of its own. This module knows of ringmill only its folder (RINGMILL_HOME, or the one that `dags`
is in). It reads the YAML there and no table, and leaves checks to the jobs. docs/operations.md says how to run it.
"""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pendulum
import yaml
from airflow.sdk import DAG, Asset, chain
from airflow.timetables.interval import CronDataIntervalTimetable
from croniter import croniter
from ringmill_tasks import HOME, NightsCleaned, SparkSubmit, notify_failure

POOL = "ringmill_training"
NIGHT, TRAINING = ("ingest", "clean", "predict"), ("features", "train", "evaluate", "publish")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST_DELAY = timedelta(hours=1)
DOCUMENTATION = """**{title}**. Made from `{path}` by `dags/scheduled.py`; docs/operations.md explains it.

{purpose}

- Each task is a spark-submit of `jobs/<task>.py` over whole days of {zone}. A job that did the same before does nothing.
- Exit codes 2, 3 and 4 fail at once: the same inputs would fail the same way. Fix what the end of the task's log names, then
  clear the task. Other failures are tried again, {retries} times, after {delay} and longer each time.
- A task that ends, in whatever way, ends its Spark application.
- Past days: `airflow backfill create --dag-id {dag_id} --from-date {day} --to-date {day}`
"""
log = logging.getLogger(__name__)


def read(path: Path) -> dict[str, Any]:
    """A configuration, with what it takes over from the one that it extends."""
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "extends" not in own:
        return own
    base = yaml.safe_load((path.parent / own.pop("extends")).read_text(encoding="utf-8"))
    both = {key: {**base[key], **own[key]} for key in own if isinstance(base.get(key), dict) and isinstance(own[key], dict)}
    return {**base, **own, **both}


class Schedule:
    """One configuration's schedule, with the defaults of pipelines/config/schedule.py, and its DAGs."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        section = config["schedule"]
        self.path, self.config, self.pipeline = path, config, config["pipeline"]
        self.zone = section.get("timezone") or config.get("timezone") or "UTC"
        self.cron, self.training = section["cron"], section.get("training")
        self.start, self.end = self._midnight(section["start"]), self._midnight(section.get("end"))
        self.catch_up, self.owner = section.get("catch_up", True), section.get("owner", "ringmill")
        self.retries, self.wait = section.get("retries", 2), section.get("retry_delay", "5 minutes")
        self.cleaned, self.model, self.scores = (self._asset(of) for of in ("clean", "model", "scores"))

    def dags(self) -> list[DAG]:
        """The DAG of the nights, and that of training where there is one."""
        return [self._nightly(), *([self._weekly()] if self.training else [])]

    def _nightly(self) -> DAG:
        purpose = f"Nights: land and clean the days since the night before, then score them. Due at `{self.cron}`."
        dag = self._dag(f"ringmill_{self.pipeline}", self.cron, (self.start, self._last(self.cron)), purpose)
        bounds = [f"data_interval_{bound}.in_timezone('{self.zone}').start_of('day')" for bound in ("start", "end")]
        outlets = {"clean": [self.cleaned], "predict": [self.scores]}
        inlets = {"predict": [self.model]} if self.training else {}
        tasks = [self._task(dag, step, bounds, inlets=inlets.get(step), outlets=outlets.get(step)) for step in NIGHT]
        chain(*tasks)
        return dag

    def _weekly(self) -> DAG:
        cron, (count, unit) = self.training["cron"], _length(self.training["window"])
        first = self._midnight(self.training.get("start")) or self.start.add(**{unit: count})
        purpose = (
            f"Training: fit features, train, evaluate and publish on the {self.training['window']} before. Due at `{cron}`; it "
            f"waits until its last night is cleaned, and trainings take turns (pool `{POOL}`)."
        )
        start = croniter(cron, first).get_prev(pendulum.DateTime)
        dag = self._dag(f"ringmill_{self.pipeline}_training", cron, (start, self._last(cron)), purpose)
        end = f"data_interval_end.in_timezone('{self.zone}').start_of('day')"
        with dag:
            wait = NightsCleaned(task_id="nights_cleaned", until=_iso(end), inlets=[self.cleaned], mode="reschedule")
        bounds, outlets = [f"{end}.subtract({unit}={count})", end], {"publish": [self.model]}
        chain(wait, *(self._task(dag, step, bounds, pool=POOL, outlets=outlets.get(step)) for step in TRAINING))
        return dag

    def _dag(self, dag_id: str, cron: str, days: tuple[Any, Any], purpose: str) -> DAG:
        words = {"title": self.config.get("title") or self.pipeline, "path": f"conf/{self.path.name}", "dag_id": dag_id}
        words |= {"purpose": purpose, "zone": self.zone, "retries": self.retries, "delay": self.wait, "day": self.start.date()}
        delay = _age(self.wait)
        # A plain cron string is a trigger without an interval; this one hands each run the days that have ended.
        timetable = CronDataIntervalTimetable(cron, timezone=self.zone)
        timetable.validate()
        retries = {"retries": self.retries, "retry_delay": delay, "max_retry_delay": max(LONGEST_DELAY, delay)}
        return DAG(
            dag_id,
            description=words["title"],
            doc_md=DOCUMENTATION.format(**words),
            schedule=timetable,
            start_date=days[0],
            end_date=days[1],
            catchup=self.catch_up,
            max_active_runs=1,
            default_args={"owner": self.owner, "retry_exponential_backoff": True, **retries},
            on_failure_callback=partial(notify_failure, pipeline=self.pipeline, notify=self.config.get("notify") or {}),
            tags=["ringmill", self.pipeline],
        )

    def _task(self, dag: DAG, step: str, bounds: list[str], **settings: Any) -> SparkSubmit:
        start, end = map(_iso, bounds)
        arguments = [f"jobs/{step}.py", "--config", f"conf/{self.path.name}"]
        given = {key: value for key, value in settings.items() if value}
        return SparkSubmit(task_id=step, dag=dag, arguments=arguments, start=start, end=end, **given)

    def _asset(self, of: str) -> Asset:
        return Asset(name=f"ringmill_{self.pipeline}_{of}", uri=f"ringmill://{self.pipeline}/{of}")

    def _midnight(self, day: Any) -> pendulum.DateTime | None:
        return pendulum.parse(str(day), tz=self.zone) if day else None

    def _last(self, cron: str) -> pendulum.DateTime | None:
        """Where the last interval that ends by the schedule's end begins."""
        if self.end is None:
            return None
        due = croniter(cron, self.end.add(days=1)).get_prev(pendulum.DateTime)
        return croniter(cron, due).get_prev(pendulum.DateTime)


def _iso(moment: str) -> str:
    return f"{{{{ {moment}.isoformat() }}}}"


def _age(text: str) -> timedelta:
    number, unit = re.fullmatch(r"([\d.]+)\s*([a-z])[a-z]*", text.strip().lower()).groups()
    return timedelta(**{UNITS[unit]: float(number)})


def _length(text: str) -> tuple[int, str]:
    number, unit = re.fullmatch(r"(\d*)\s*([a-z]+?)s?", text.strip()).groups()
    return int(number or 1), f"{unit}s"


def build(folder: Path) -> list[DAG]:
    """All DAGs. A file that can't be used becomes a DAG that says why: an error here would stop the DAGs of all files."""
    dags: list[DAG] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            dags += _of_file(path, {dag.dag_id for dag in dags})
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one file)
            log.warning("conf/%s: %s", path.name, error)
            dags.append(_broken(path, error))
    return dags


def _of_file(path: Path, known: set[str]) -> list[DAG]:
    config = read(path)
    dags = Schedule(path, config).dags() if config.get("schedule") else []
    if known & {dag.dag_id for dag in dags}:
        raise ValueError(f"another file has a schedule of the pipeline {config['pipeline']}; expected one of each name")
    return dags


def _broken(path: Path, error: Exception) -> DAG:
    text = f"conf/{path.name} has no DAG: {type(error).__name__}: {error}. Fix it; Airflow need not be restarted."
    return DAG(f"ringmill_broken_{path.stem}", schedule=None, doc_md=text, description=text, tags=["ringmill", "broken"])


for dag in build(HOME / "conf"):
    globals()[dag.dag_id] = dag
