"""A standalone Spark cluster on this machine, whose workers start executors as processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from setup.postgres import free_port
from tests.processes import environment

BIN = Path(sys.executable).parent
START_SECONDS = 60


@contextmanager
def cluster(folder: Path, given: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a master and two workers of a slot each, with `given` in their environment; gives the master's address."""
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    # Its own log settings, which say when a worker has registered.
    plain = {**environment(), **(given or {}), "SPARK_CONF_DIR": str(folder)}
    common = ["--host", "127.0.0.1", "--webui-port", "0"]
    worker = ["Worker", *common, "--cores", "1", "--memory", "2g", "--work-dir", str(folder / "work"), address]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "cluster.log").open("w"))
        for command in (["Master", *common, "--port", str(port)], worker, worker):
            name = f"org.apache.spark.deploy.{command[0].lower()}.{command[0]}"
            start = [str(BIN / "spark-class"), name, *command[1:]]
            process = subprocess.Popen(start, env=plain, stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        deadline = time.monotonic() + START_SECONDS
        while (folder / "cluster.log").read_text().count("Successfully registered with master") < 2:
            assert time.monotonic() < deadline, (folder / "cluster.log").read_text()[-2000:]
            time.sleep(0.2)
        yield address
