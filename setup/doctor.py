"""Check what ringmill needs, and print how to fix what is missing; plain Python, so that it runs before set-up does.

`python3 setup/doctor.py [--config FILE] [--light] [--executors] [--json]`. `--light` leaves out the import of TensorFlow and
Horovod. `--executors` starts a small Spark application, which looks at the host of each executor (jobs/doctor.py).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as a script it would find its own folder alone
from pipelines.launch.allocation import (  # noqa: E402 (nothing is installed before set-up)
    allocation_problem,
    declared_slots,
    is_local,
    shown_slots,
    slots_problem,
)
from pipelines.launch.check_result import CheckResult  # noqa: E402
from setup.machine_checks import (  # noqa: E402
    SET_UP,
    VENV,
    ProblemError,
    compiler,
    horovod,
    jars,
    java,
    process_tools,
    processor,
    run,
)

FREE_GIB = 5
READ_CONFIG = """
import json, sys
from pathlib import Path
from pipelines.config import read_config
from pipelines.io.filesystem import warehouse_uri
config = read_config(Path(sys.argv[1]))
train, warehouse = config.train, warehouse_uri(config.lake)
settings = {"ranks": train.ranks, "port": train.channel_port, "launcher": train.launcher, "warehouse": warehouse}
print(json.dumps(settings))
"""


@cache
def configured(config: str) -> dict[str, str | int]:
    """The settings of the configuration that checks need: ranks, port, launcher and warehouse."""
    if not VENV.exists():
        raise ProblemError("can't be read before set-up", SET_UP)
    settings: dict[str, str | int] = json.loads(run(str(VENV), "-c", READ_CONFIG, config).strip().splitlines()[-1])
    return settings


def ports(config: str) -> str:
    """The channel's port can be listened on."""
    port = int(configured(config)["port"])
    try:
        with socket.create_server(("127.0.0.1", port)) as server:
            return f"127.0.0.1:{server.getsockname()[1]} can be listened on{'' if port else ' (any free port)'}"
    except OSError as error:
        raise ProblemError(f"train.channel_port {port}: {error.strerror}", "Free it, or set 0 for any free one.") from error


def disk(config: str) -> str:
    """There is room for tables, cache and Spark's own files."""
    warehouse = Path(str(configured(config)["warehouse"]))
    here = next(path for path in (warehouse, *warehouse.parents) if path.exists())
    rooms = {str(path): shutil.disk_usage(path).free / 2**30 for path in (here, Path.home(), Path("/tmp"))}  # noqa: S108
    short = [f"{path} has {free:.1f} GiB free" for path, free in rooms.items() if free < FREE_GIB]
    if short:
        raise ProblemError(f"{', '.join(short)}; expected {FREE_GIB}", "Free some, or move lake.warehouse.")
    return ", ".join(f"{free:.0f} GiB free at {path}" for path, free in rooms.items())


def defaults_file() -> Path:
    """Where Spark's settings are: in the folder that SPARK_CONF_DIR names, else in conf/spark."""
    return Path(os.environ.get("SPARK_CONF_DIR") or ROOT / "conf" / "spark") / "spark-defaults.conf"


def spark_settings() -> dict[str, str]:
    """Spark's settings; none where there is no such file."""
    text = defaults_file().read_text(encoding="utf-8") if defaults_file().exists() else ""
    return dict(re.findall(r"^\s*(spark\.[\w.]+)[ \t=:]+(.*?)[ \t]*$", text, re.MULTILINE))


def executors(config: str) -> str:
    """Spark's settings let all ranks start at once, and start none of them twice."""
    if problem := allocation_problem(spark_settings(), str(configured(config)["launcher"]), str(defaults_file())):
        raise ProblemError(*problem)
    return "no dynamic allocation, no rank is started twice"


def slots(config: str) -> str:
    """The cluster has a slot, and this machine a core where ranks run on it, for each rank."""
    settings, ranks, cores = spark_settings(), int(configured(config)["ranks"]), len(os.sched_getaffinity(0))
    declared = declared_slots(settings)
    if problem := slots_problem(ranks, declared, str(defaults_file())):
        raise ProblemError(*problem)
    if is_local(settings) and ranks > cores:
        raise ProblemError(f"{ranks} ranks share {cores} cores: it will run, slowly", "Lower train.ranks.")
    return f"{shown_slots(ranks, declared)}{f', {cores} cores' if is_local(settings) else ''}"


def on_executors(config: str) -> Iterator[CheckResult]:
    """What jobs/doctor.py sees on the cluster that Spark's settings name."""
    command = [str(VENV.with_name("spark-submit")), str(ROOT / "jobs" / "doctor.py"), "--config", config, "--json"]
    environment = {"SPARK_CONF_DIR": str(defaults_file().parent), "PYSPARK_PYTHON": str(VENV), **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    array = next((line for line in done.stdout.splitlines() if line.startswith("[{")), None)
    if array is None:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ringmill:")]
        yield CheckResult("launch", False, lines[-1] if lines else done.stderr[-500:], "Fix Spark's settings.")
        return
    for each in json.loads(array):
        if not each["ok"] or each["name"].startswith(("launch", "host")):  # the rest this machine has seen
            yield CheckResult(**each)


def check_results(config: str, *, light: bool) -> Iterator[CheckResult]:
    """Run the checks in turn and yield what each saw; `light` leaves out the import of Horovod and TensorFlow."""
    checks: dict[str, Callable[[], str]] = {
        "Java": java,
        "C++ compiler": compiler,
        "process tools": process_tools,
        "processor": processor,
        "jars": jars,
        "ports": partial(ports, config),
        "disk": partial(disk, config),
        "slots": partial(slots, config),
        "executors": partial(executors, config),
        **({} if light else {"Horovod": horovod}),
    }
    for name, check in checks.items():
        try:
            yield CheckResult(name, True, check())
        except ProblemError as problem:
            yield CheckResult(name, False, problem.saw, problem.fix)


def main() -> int:
    """Print a line a check, or a JSON array; the exit code is 5 when one failed."""
    parser = argparse.ArgumentParser(prog="make doctor", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", default="conf/flights.yaml", help="the pipeline's YAML (default: %(default)s)")
    parser.add_argument("--light", action="store_true", help="only what is known within 2 seconds")
    parser.add_argument("--executors", action="store_true", help="look at each executor's host, by a small Spark application")
    parser.add_argument("--json", action="store_true", help="print one JSON array: name, ok, saw and fix of each check")
    arguments = parser.parse_args()
    is_well, all_results = True, []
    more = on_executors(arguments.config) if arguments.executors else iter(())
    for each in chain(check_results(arguments.config, light=arguments.light), more):
        is_well &= each.ok
        all_results.append(each._asdict())
        if not arguments.json:
            saw = each.saw.rstrip(".") + f". {each.fix}" if each.fix else each.saw
            print(f"  {'ok' if each.ok else 'WRONG':6} {each.name:14} {saw}", flush=True)
    if arguments.json:
        print(json.dumps(all_results))
    return 0 if is_well else 5


if __name__ == "__main__":
    sys.exit(main())
