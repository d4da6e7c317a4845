"""A standalone Spark cluster on this machine, whose workers start executors as processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from setup.postgres import free_port
from tests.java import BRIEF_JAVA
from tests.processes import environment

BIN = Path(sys.executable).parent
START_SECONDS = 180
HOSTS = ("127.0.0.1", "127.0.0.1")


@contextmanager
def cluster(folder: Path, given: Mapping[str, str] | None = None, hosts: Sequence[str] = HOSTS) -> Iterator[str]:
    """Run a master and a worker of one slot on each host, with `given` in their environment; gives the master's address.

    Hosts are addresses of the loopback device. Spark runs a speculative attempt on another host than the first.
    """
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    # Its own log settings, which say when a worker has registered.
    plain = {
        **environment(),
        **(given or {}),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_DAEMON_JAVA_OPTS": f"{BRIEF_JAVA} -XX:+UseSerialGC",
    }
    slot = ["--cores", "1", "--memory", "2g", "--work-dir", str(folder / "work"), address]
    commands = [["Master", "--host", "127.0.0.1", "--port", str(port)], *(["Worker", "--host", host, *slot] for host in hosts)]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "cluster.log").open("w"))
        for kind, *options in commands:
            name = f"org.apache.spark.deploy.{kind.lower()}.{kind}"
            start = [str(BIN / "spark-class"), name, "--webui-port", "0", *options]
            process = subprocess.Popen(start, env=plain, stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        deadline = time.monotonic() + START_SECONDS
        while (folder / "cluster.log").read_text().count("Successfully registered with master") < len(hosts):
            assert time.monotonic() < deadline, (folder / "cluster.log").read_text()[-2000:]
            time.sleep(0.2)
        yield address
