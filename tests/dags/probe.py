"""Runs in Airflow's own environment: prints what Airflow makes of the DAG files, as JSON."""

import json
import sys

from airflow.models.dagbag import DagBag
from airflow.timetables.base import TimeRestriction

bag = DagBag(sys.argv[1], include_examples=False)
found = {}
for name, dag in bag.dags.items():
    restriction = TimeRestriction(earliest=dag.start_date, latest=dag.end_date, catchup=dag.catchup)
    intervals, last = [], None
    while run := dag.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        last = run.data_interval
        intervals.append([last.start.isoformat(), last.end.isoformat()])
    context = {"data_interval_start": last.start, "data_interval_end": last.end}
    tasks = {}
    for task in dag.topological_sort():
        command = dag.get_template_env().from_string(task.bash_command).render(context)
        tasks[task.task_id] = {"command": command, "after": sorted(task.upstream_task_ids), "retries": task.retries}
    found[name] = {"intervals": intervals, "tasks": tasks}
print(json.dumps({"errors": bag.import_errors, "dags": found}))
