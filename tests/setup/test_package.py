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
    packed = IGzipFile(package / "environment.tar.gz")  # type: ignore[no-untyped-call]
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
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], reason: str) -> None:
    command = [str(ROOT / "setup" / "package" / "submit.sh"), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 2
    assert f"submit.sh: {reason}" in completed.stderr and "./submit.sh JOB" in completed.stderr


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
        traffic.terminate()
        traffic.wait()
    counts = json.loads((folder / "traffic.json").read_text())
    assert min(counts.get(f"{a.address} {b.address}", 0) for a, b in ((one, two), (two, one))) > LEAST_BYTES
    assert _metrics(shared, "packaged") == pytest.approx(_ordinary_metrics(spark, shared), abs=1e-6)


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
