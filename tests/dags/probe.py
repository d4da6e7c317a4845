"""Runs in Airflow's own environment: prints what Airflow makes of the DAG files, and how tasks end, as JSON."""

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from airflow.dag_processing.dagbag import DagBag
from airflow.timetables.base import TimeRestriction
from ringmill_tasks import NightsCleaned, SparkSubmit, notify_failure

FROM = ("2013-01-01T00:00:00-05:00", "2013-01-02T00:00:00-05:00")


def described(dag):
    """What a DAG does: its intervals, and its tasks with their arguments of the last one."""
    restriction = TimeRestriction(earliest=dag.start_date, latest=dag.end_date, catchup=True)
    intervals, last = [], None
    while dag.end_date and (run := dag.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)):
        last = run.data_interval
        intervals.append([last.start.isoformat(), last.end.isoformat()])
    tasks = {}
    for task in dag.topological_sort():
        if last:
            task.render_template_fields({"data_interval_start": last.start, "data_interval_end": last.end})
        tasks[task.task_id] = {
            "given": {name: getattr(task, name) for name in task.template_fields},
            "after": sorted(task.upstream_task_ids),
            "inlets": [asset.uri for asset in task.inlets],
            "outlets": [asset.uri for asset in task.outlets],
            "pool": task.pool,
            "retries": [task.retries, str(task.retry_delay), task.retry_exponential_backoff, str(task.max_retry_delay)],
        }
    settings = {"catchup": dag.catchup, "active": dag.max_active_runs, "owner": dag.owner}
    return {"intervals": intervals, "tasks": tasks, "doc": dag.doc_md, **settings, "callback": bool(dag.on_failure_callback)}


def ending(job, *, events=(), **settings):
    """How a task ends whose job ends with a code: the error, and what goes with the asset."""
    (start, end), asset = FROM, "asset"
    extras = type("Event", (), {})()
    task = SparkSubmit(task_id="task", arguments=[f"jobs/{job}.py"], start=start, end=end)
    task.inlets, task.outlets = settings.get("inlets", []), [asset]
    try:
        task.execute({"outlet_events": {asset: extras}, "inlet_events": {"model": list(events)}})
    except Exception as error:  # noqa: BLE001 (which one is the result)
        return [type(error).__name__, str(error)]
    return extras.extra


def orphaned(folder):
    """Whether a job ends, without a line of output, when the process that supervises its task is killed."""
    if supervisor := os.fork():
        pid = awaited(lambda: (folder / "silent.pid").exists() and (folder / "silent.pid").read_text().strip())
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        return awaited(lambda: not Path("/proc", pid).exists())
    if os.fork():
        signal.pause()
    os.setpgid(0, 0)  # as Airflow's supervisor does it
    task = SparkSubmit(task_id="task", arguments=["jobs/silent.py"], start=FROM[0], end=FROM[1])
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    try:
        task.execute({})
    finally:
        os._exit(0)


def awaited(condition):
    """What a condition becomes within ten seconds."""
    deadline = time.monotonic() + 10
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def waits(*ends):
    """Whether a training whose window ends with the first of January waits, where nights are cleaned up to some moments."""
    sensor = NightsCleaned(task_id="wait", until=FROM[1])
    sensor.inlets = ["cleaned"]
    events = [type("Event", (), {"extra": {"to": end} if end else {}})() for end in ends]
    return not sensor.poke({"inlet_events": {"cleaned": events}})


bag = DagBag(sys.argv[1])
endings = {code: ending(code) for code in ("0", "1", "2", "3", "4", "5", "130", "killed")}
endings["no model"] = ending("3", inlets=["model"])
endings["a model"] = ending("3", inlets=["model"], events=["published"])
waiting = {"nothing": waits(), "by hand": waits(None), "before": waits("2013-01-01T23:00:00-05:00")}
waiting |= {"the night": waits(FROM[1]), "in UTC": waits("2013-01-02T05:00:00+00:00"), "later": waits(FROM[0], "2013-01-09")}
dag = type("Dag", (), {"dag_id": "d"})()
for url in ("WEBHOOK", "NO_ADDRESS", "NOT_SET"):  # none of them raises
    notify_failure({"dag": dag, "run_id": url, "reason": "task_failure"}, "p", {"url": url, "timeout_seconds": 5})
notify_failure({"dag": dag, "run_id": "unwanted"}, "p", {"url": "WEBHOOK", "events": ["drift"]})
notify_failure({"dag": dag, "run_id": "without a section"}, "p", {})
dags = {name: described(dag) for name, dag in bag.dags.items()}
silent_job_ends = orphaned(Path(sys.argv[2]).parent)
result = {
    "errors": bag.import_errors,
    "silent job ends": silent_job_ends,
    "dags": dags,
    "endings": endings,
    "waiting": waiting,
}
Path(sys.argv[2]).write_text(json.dumps(result))
