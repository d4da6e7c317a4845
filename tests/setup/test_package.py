"""The package runs ringmill on hosts that have Java and nothing of ours: no interpreter, no environment, no source tree."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml
from isal.igzip import IGzipFile
from pyspark.sql import SparkSession

from pipelines.config import read_config
from pipelines.runtime.intervals import run_steps
from pipelines.steps.pipeline import STEPS
from tests.conftest import session_on
from tests.contexts import quiet_context
from tests.hosts import Host, hosts, java_home, missing_permission
from tests.processes import environment
from tests.root import ROOT

pytestmark = pytest.mark.slow
SPARK_PORT, BLOCK_PORT = 7077, 7078
START_SECONDS = 120
TIMEOUT_SECONDS = 1200
LEAST_BYTES = 1 << 20  # of 50 all-reduces of 300 kB, far less than they take


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built quickly."""
    folder = tmp_path_factory.mktemp("package") / "dist"
    command = [sys.executable, "-m", "setup.package", "--folder", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, timeout=TIMEOUT_SECONDS)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage that all hosts share, with the digits and a configuration for either run."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy2(ROOT / "data" / "digits" / "digits.csv", folder)
    for name in ("ordinary", "packaged"):
        content: dict[str, Any] = yaml.safe_load((ROOT / "conf" / "digits.yaml").read_text())
        content["pipeline"] = name
        content["lake"]["warehouse"] = str(folder / name)
        content["sources"]["digits"]["path"] = str(folder / "digits.csv")
        content["train"]["epochs"] = 3
        content["evaluate"] = {"minimum": {"accuracy": 0.5}, "replicates": 0}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_the_list_has_the_sha256_of_each_file(package: Path) -> None:
    lines = (package / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.is_file()}
    assert set(listed) == set(files) - {"SHA256SUMS"}
    for name in ("jars/org.xerial_sqlite-jdbc-3.50.3.0.jar", "ringmill.zip", "submit.sh"):
        assert listed[name] == hashlib.sha256(files[name].read_bytes()).hexdigest()


def test_the_environment_has_neither_tests_nor_build_tools(package: Path) -> None:
    packed = IGzipFile(package / "environment.tar.gzip")  # type: ignore[no-untyped-call]
    with packed, tarfile.open(fileobj=packed) as archive:
        names = archive.getnames()
        links = {member.name: member.linkname for member in archive if member.issym()}
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"tests", "pytest", "mypy", "pip", "setuptools", "cmake", "clang", "moto", "ensurepip", "idlelib"}
    assert {"tensorflow", "horovod", "pyspark", "pyarrow", "libmpi.so.12", "hydra_pmi_proxy", "libffi.so.8"} <= parts
    assert links == {"bin/python": "python3.11", "bin/python3": "python3.11"}
    assert [name for name in names if name.startswith("bin/")] == [
        *("bin/hydra_pmi_proxy", "bin/mpiexec.hydra", "bin/python", "bin/python3", "bin/python3.11")
    ]


def test_a_host_with_an_older_c_library_is_refused(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "setup" / "package" / "submit.sh", tmp_path)
    (tmp_path / "manifest.json").write_text('{\n "glibc": "99.1",\n "machine": "x86_64"\n}\n')
    command = [str(tmp_path / "submit.sh"), "--unpack", str(tmp_path / "unpacked")]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 5
    assert "the package needs 99.1 or later" in completed.stderr
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "no job is named"),
        (["train", "--master", "yarn"], "no -- between spark-submit's options and the job's"),
        (["--unpack"], "--unpack takes a folder"),
        (["train", "--files", "--", "--config", "flights.yaml"], "--files takes a list"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], reason: str) -> None:
    command = [str(ROOT / "setup" / "package" / "submit.sh"), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 2
    assert f"submit.sh: {reason}" in completed.stderr and "./submit.sh JOB" in completed.stderr


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A package that is unpacked already, with a spark-submit that prints its arguments."""
    dist = tmp_path / "dist"
    (dist / "jars").mkdir(parents=True)
    (dist / "jars" / "own.jar").touch()
    shutil.copy2(ROOT / "setup" / "package" / "submit.sh", dist)
    (dist / "manifest.json").write_text('{\n "glibc": "2.17",\n "machine": "x86_64"\n}\n')
    (dist / "SHA256SUMS").write_text("of this package\n")
    digest = hashlib.sha256((dist / "SHA256SUMS").read_bytes()).hexdigest()
    unpacked = tmp_path / "cache" / "ringmill" / f"package-{digest[:16]}"
    (unpacked / "application" / "jobs").mkdir(parents=True)
    (unpacked / "application" / "jobs" / "train.py").touch()
    shutil.copy2(dist / "SHA256SUMS", unpacked)
    program = unpacked / "spark" / "bin" / "spark-submit"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return dist


@pytest.mark.parametrize("joined", [False, True])
def test_files_that_are_given_are_added_to_the_package_s(dist: Path, joined: bool) -> None:
    given = {"--files": "a.yaml,b.yaml", "--archives": "c.zip#c", "--jars": "d.jar"}
    options = [part for name, value in given.items() for part in ([f"{name}={value}"] if joined else [name, value])]
    assert _lists(dist, *options) == {
        "--files": f"{dist}/environment.tar.gzip,{dist}/executor-python.sh,a.yaml,b.yaml",
        "--archives": f"{dist}/ringmill.zip#application,c.zip#c",
        "--jars": f"{dist}/jars/own.jar,d.jar",
    }
    assert _lists(dist)["--files"] == f"{dist}/environment.tar.gzip,{dist}/executor-python.sh"


def test_executors_of_a_host_unpack_the_environment_once(tmp_path: Path) -> None:
    application = _executor(tmp_path / "application")
    shared = {"SPARK_EXECUTOR_DIRS": f"{application}:/elsewhere"}
    (application / "environment.partial").mkdir()  # of an executor that was killed while it unpacked
    (application / "environment.partial" / "half").touch()
    started = [_start(_executor(tmp_path / name), shared) for name in ("one", "two", "three")]
    (printed,) = {process.communicate()[0] for process in started}  # all became the interpreter that one of them had unpacked
    assert printed.split(maxsplit=1)[1] == f"{application}/environment/bin/python -m daemon\n"
    assert sorted(path.name for path in application.glob("environment*")) == ["environment", "environment.tar.gzip"]
    assert sorted(path.name for path in (application / "environment").iterdir()) == ["bin"]


def test_an_executor_without_such_a_folder_unpacks_in_its_own(tmp_path: Path) -> None:
    executor = _executor(tmp_path / "alone")
    assert _start(executor, {}).communicate()[0] == f"alone {executor}/environment/bin/python -m daemon\n"


def test_an_environment_that_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    executor = _executor(tmp_path / "alone")
    (executor / "environment.tar.gzip").write_bytes(b"no archive")
    failed = _start(executor, {})
    message = failed.communicate()[1]
    assert failed.returncode == 5
    assert f"{executor}/environment.tar.gzip could not be unpacked to {executor}" in message and "needs 2 GB" in message
    assert not (executor / "environment").exists()


def test_a_pipeline_on_bare_hosts_has_the_ordinary_run_s_metrics(
    spark: SparkSession, package: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if reason := missing_permission():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    home = folder / "spark"
    home.mkdir()
    subprocess.run(["tar", "-xf", package / "spark.tar", "-C", home], check=True)
    mounts = {package: "/opt/dist", home: "/opt/spark", shared: str(shared)}
    with hosts(("driver", "one", "two"), folder, mounts) as (driver, one, two), ExitStack() as stack:
        hidden = [str(ROOT), sys.prefix, sys.base_prefix]
        assert all(_run(driver, "test", "-e", path).returncode for path in hidden)
        assert _run(one, "python3.11", "-c", "import tensorflow").returncode
        master = stack.enter_context(_standalone(driver, [one, two]))
        traffic = stack.enter_context(_traffic(driver, folder / "traffic.json"))
        completed = _submit(driver, master, "pipeline", str(shared / "packaged.yaml"))
        assert completed.returncode == 0, f"{completed.stdout}\n{completed.stderr}"
        assert "Untarring" not in completed.stderr  # as Spark's driver does what is called .tar.gz, and warns
        assert all(_disappears(host, "/tmp/spark-*/executor-*/environment") for host in (one, two))
        traffic.terminate()
        traffic.wait()
    counts = json.loads((folder / "traffic.json").read_text())
    assert min(counts.get(f"{a.address} {b.address}", 0) for a, b in ((one, two), (two, one))) > LEAST_BYTES
    assert _metrics(shared, "packaged") == pytest.approx(_ordinary_metrics(spark, shared), abs=1e-6)


def _lists(dist: Path, *options: str) -> dict[str, str]:
    """What submit.sh gives spark-submit as lists of files."""
    command = [str(dist / "submit.sh"), "train", *options, "--name", "any", "--", "--config", "flights.yaml"]
    variables = {key: value for key, value in environment().items() if key != "RINGMILL_UNPACKED"}
    variables["XDG_CACHE_HOME"] = str(dist.parent / "cache")
    passed = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()
    assert passed[-2:] == ["--config", "flights.yaml"] and passed[passed.index("--name") + 1] == "any"
    return {name: passed[passed.index(name) + 1] for name in ("--files", "--archives", "--jars")}


def _executor(folder: Path) -> Path:
    """An executor's folder, with an environment whose Python prints whose it is and how it was called."""
    folder.mkdir()
    program = folder / "python"
    program.write_text(f'#!/bin/sh\necho {folder.name} "$0" "$@"\n')
    program.chmod(0o755)
    with tarfile.open(folder / "environment.tar.gzip", "w:gz") as archive:
        archive.add(program, "bin/python")
    shutil.copy2(ROOT / "setup" / "package" / "executor-python.sh", folder)
    return folder


def _start(folder: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    """An executor's Python, as Spark starts it."""
    names = {key: value for key, value in environment().items() if key not in ("SPARK_EXECUTOR_DIRS", "LOCAL_DIRS")}
    command = ["./executor-python.sh", "-m", "daemon"]
    return subprocess.Popen(
        command, cwd=folder, env={**names, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _variables(host: Host) -> dict[str, str]:
    """What a host's own set-up gives its programs."""
    return {
        "SPARK_LOCAL_IP": host.address,
        "JAVA_HOME": str(java_home()),
        "SPARK_DAEMON_MEMORY": "256m",
        "XDG_CACHE_HOME": "/tmp/cache",  # its root folder is in memory
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",  # as conf/spark has it over little data
    }


def _run(host: Host, *program: str) -> subprocess.CompletedProcess[str]:
    command = host.command(*program, environment=_variables(host), folder="/tmp")
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)


def _disappears(host: Host, pattern: str) -> bool:
    """Whether nothing of a name is on a host within half a minute."""
    return _run(host, "timeout", "30", "sh", "-c", f"while ls -d {pattern}; do sleep 0.5; done").returncode == 0


def _submit(driver: Host, master: str, job: str, config: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.executor.cores": "1",
        "spark.blockManager.port": str(BLOCK_PORT),
    }
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return _run(driver, "/opt/dist/submit.sh", job, "--master", master, *options, "--", "--config", config)


@contextmanager
def _standalone(head: Host, workers: list[Host]) -> Iterator[str]:
    """A master on one host, and a worker of a slot on each other; gives the master's address."""
    address = f"spark://{head.address}:{SPARK_PORT}"
    worker = ["--webui-port", "0", "--cores", "1", "--memory", "1g", "--work-dir", "/tmp/work", address]
    commands = [(head, "master.Master", ["--webui-port", "0", "--port", str(SPARK_PORT)])]
    commands += [(host, "worker.Worker", worker) for host in workers]
    log = head.root.parent / "cluster.log"
    with ExitStack() as stack, log.open("w") as file:
        for host, name, arguments in commands:
            program = ["/opt/spark/bin/spark-class", f"org.apache.spark.deploy.{name}", "--host", host.address, *arguments]
            process = subprocess.Popen(host.command(*program, environment=_variables(host)), stdout=file, stderr=file)
            stack.callback(process.wait)
            stack.callback(process.kill)
        deadline = time.monotonic() + START_SECONDS
        while log.read_text().count("Successfully registered with master") < len(workers):
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield address


@contextmanager
def _traffic(host: Host, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Count what crosses the hosts' network, without what executors send each other for Spark."""
    command = ["ip", "netns", "exec", host.hub, sys.executable, str(ROOT / "tests" / "traffic.py"), str(file), str(BLOCK_PORT)]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ordinary_metrics(spark: SparkSession, shared: Path) -> dict[str, float]:
    config = read_config(shared / "ordinary.yaml")
    (shared / "ordinary").mkdir()
    run_steps(STEPS, quiet_context(session_on(spark, shared / "ordinary"), config, "ordinary"), force=False)
    return _metrics(shared, "ordinary")


def _metrics(shared: Path, name: str) -> dict[str, float]:
    """The evaluation's metrics of the only run in a warehouse, read without Spark."""
    rows: list[dict[str, Any]] = ds.dataset(shared / name / name / "evaluation_metrics" / "data").to_table().to_pylist()
    return {f"{row['split']} {row['metric']} {row['baseline']}": row["value"] for row in rows}
