"""Check what ringmill needs and say how to mend what is missing; plain Python, so that it runs before set-up does."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv" / "bin" / "python"
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
READ_HOROVOD = """
import horovod, horovod.tensorflow as hvd, tensorflow as tf
print(f"{horovod.__version__} on TensorFlow {tf.__version__}, MPI {bool(hvd.mpi_built())}, Gloo {bool(hvd.gloo_built())}")
"""


class ProblemError(Exception):
    """Raised by a check that failed: what is wrong, and how to mend it."""


def run(*command: str) -> str:
    """What a command prints, on standard error if nowhere else; raises ProblemError when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError as error:
        raise ProblemError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise ProblemError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    return done.stdout.strip() or done.stderr


def java() -> str:
    """Java is 17 or 21."""
    home = os.environ.get("JAVA_HOME")
    try:
        text = run(f"{home}/bin/java" if home else "java", "-version")
    except ProblemError as error:
        raise ProblemError(f"no Java found ({error}). Install openjdk-17-jre-headless, or set JAVA_HOME.") from error
    found = re.search(r'version "(\d+)', text)
    if not found or found[1] not in ("17", "21"):
        raise ProblemError(f"{text.splitlines()[0]}; expected 17 or 21. Install openjdk-17-jre-headless, or set JAVA_HOME.")
    return text.splitlines()[0]


def compiler() -> str:
    """There is a C++ compiler."""
    if not shutil.which("g++"):
        raise ProblemError("no g++ found; Horovod is built from source. Install g++.")
    return run("g++", "--version").splitlines()[0]


def horovod() -> str:
    """Horovod loads, and has MPI."""
    if not VENV.exists():
        raise ProblemError("no virtual environment yet. Run `make setup`.")
    try:
        text = run(str(VENV), "-c", READ_HOROVOD).strip().splitlines()[-1]
    except ProblemError as error:
        raise ProblemError(f"Horovod does not load: {error}. Remove .venv/.ready and run `make setup`.") from error
    if "MPI True" not in text:
        raise ProblemError(
            f"{text}; expected MPI. Empty the wheels in the cache folder, remove .venv/.ready, run `make setup`."
        )
    return text


def process_tools() -> str:
    """mpiexec, its proxy and setpriv are there."""
    wanted = [VENV.with_name("mpiexec.hydra"), VENV.with_name("hydra_pmi_proxy")]
    missing = [path.name for path in wanted if not path.exists()]
    if missing:
        raise ProblemError(f"no {', '.join(missing)} in .venv; the mpich wheel brings them. Run `make setup`.")
    if not shutil.which("setpriv"):
        raise ProblemError("no setpriv found. Install util-linux.")
    return "mpiexec, hydra_pmi_proxy, setpriv"


def jars() -> str:
    """The pinned jars are beside the environment."""
    packages = [line.split(":") for line in (ROOT / "setup" / "jars.txt").read_text(encoding="utf-8").split()]
    wanted = [f"{group}_{artifact}-{version}.jar" for group, artifact, version in packages]
    missing = [name for name in wanted if not (ROOT / ".venv" / "jars" / name).exists()]
    if missing:
        raise ProblemError(f"not fetched yet: {', '.join(missing)}. Run `make setup`; it needs the net.")
    archive = "" if (ROOT / ".venv" / "jars" / "classes.jsa").exists() else "; no archive of classes, so jobs start more slowly"
    return ", ".join(wanted) + archive


def configured(config: str) -> dict[str, str | int]:
    """What the configuration asks for."""
    if not VENV.exists():
        raise ProblemError("can't be read before set-up. Run `make setup`.")
    found: dict[str, str | int] = json.loads(run(str(VENV), "-c", READ_CONFIG, config).strip().splitlines()[-1])
    return found


def ports(config: str) -> str:
    """The channel's port can be listened on."""
    port = int(configured(config)["port"])
    try:
        with socket.create_server(("127.0.0.1", port)) as server:
            return f"127.0.0.1:{server.getsockname()[1]} can be listened on{'' if port else ' (any free port)'}"
    except OSError as error:
        raise ProblemError(f"train.channel_port {port}: {error.strerror}. Free it, or set 0 for any free one.") from error


def disk(config: str) -> str:
    """There is room for tables, cache and Spark's own files."""
    warehouse = Path(str(configured(config)["warehouse"]))
    here = next(path for path in (warehouse, *warehouse.parents) if path.exists())
    rooms = {str(path): shutil.disk_usage(path).free / 2**30 for path in (here, Path.home(), Path("/tmp"))}  # noqa: S108
    short = [f"{path} has {free:.1f} GiB free" for path, free in rooms.items() if free < FREE_GIB]
    if short:
        raise ProblemError(f"{', '.join(short)}; expected {FREE_GIB}. Free some, or move lake.warehouse.")
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
    settings, barrier = spark_settings(), configured(config)["launcher"] == "barrier"
    names = ("spark.dynamicAllocation.enabled", "spark.speculation")
    dynamic, speculation = (settings.get(name, "false").lower() == "true" for name in names)
    if dynamic and barrier:
        raise ProblemError(
            f"{names[0]} is true in {defaults_file()}: Spark refuses the barrier stage that starts the ranks. Set it to false, "
            f"for train, search and pipeline alone with --conf {names[0]}=false."
        )
    if speculation and not barrier:
        raise ProblemError(
            f"{names[1]} is true in {defaults_file()}: Spark would start a slow rank a second time. Set it to false, or "
            f"train.launcher to barrier, whose tasks are never started twice."
        )
    return "no dynamic allocation, no rank is started twice"


def declared_slots(settings: dict[str, str]) -> int | None:
    """How many tasks a cluster runs at once by its settings; None where they do not say."""
    cores, cpus = settings.get("spark.executor.cores"), int(settings.get("spark.task.cpus", "1"))
    most, count = settings.get("spark.cores.max"), settings.get("spark.executor.instances")
    by_count = int(count) * (int(cores) // cpus) if count and cores else None
    by_cores = int(most) // cpus if most else None
    return min((slots for slots in (by_count, by_cores) if slots is not None), default=None)


def slots(config: str) -> str:
    """The cluster has a slot, and this machine a core where ranks run on it, for each rank."""
    settings = spark_settings()
    master = re.match(r"local(?:-cluster\[(\d+),|\[)(\d+)", settings.get("spark.master", ""))
    ranks = int(configured(config)["ranks"])
    if not master:
        declared = declared_slots(settings)
        if declared is not None and ranks > declared:
            raise ProblemError(
                f"{ranks} ranks need {ranks} slots, {defaults_file()} gives {declared}. Lower train.ranks, or raise "
                f"spark.executor.instances, spark.executor.cores or spark.cores.max."
            )
        return f"{ranks} ranks, " + ("as many slots as the cluster has" if declared is None else f"{declared} slots")
    found, cores = int(master[1] or 1) * int(master[2]), len(os.sched_getaffinity(0))
    if ranks > found:
        raise ProblemError(
            f"{ranks} ranks need {ranks} slots, the cluster has {found}. Lower train.ranks, or raise spark.master."
        )
    if ranks > cores:
        raise ProblemError(f"{ranks} ranks share {cores} cores: it will run, slowly. Lower train.ranks.")
    return f"{ranks} ranks, {found} slots, {cores} cores"


def main() -> int:
    """Print a line a check; the exit code is 5 when one failed."""
    parser = argparse.ArgumentParser(prog="make doctor")
    parser.add_argument("--config", default="conf/flights.yaml")
    config = parser.parse_args().config
    checks: dict[str, Callable[[], str]] = {
        "Java": java,
        "C++ compiler": compiler,
        "Horovod": horovod,
        "process tools": process_tools,
        "jars": jars,
        "ports": lambda: ports(config),
        "disk": lambda: disk(config),
        "slots": lambda: slots(config),
        "executors": lambda: executors(config),
    }
    failed = 0
    for name, check in checks.items():
        try:
            print(f"  ok     {name:14} {check()}")
        except ProblemError as problem:
            failed += 1
            print(f"  WRONG  {name:14} {problem}")
    return 5 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
