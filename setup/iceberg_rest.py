"""Iceberg's own REST catalog server, for tests and benchmarks: on a free port of the loopback, gone when it is left.

Iceberg publishes the server's servlet among its test classes. Its own main class listens on all addresses, so this one starts
the servlet itself. The catalog behind it is Iceberg's JDBC catalog. It checks no passwords.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

ROOT = Path(__file__).resolve().parent.parent
DEPENDENCIES = ROOT / "setup" / "iceberg_rest.xml"
SPARK_JARS = Path(pyspark.__file__).parent / "jars"
FROM_SPARK = ("hadoop-client-*.jar", "log4j-api-*.jar", "log4j-core-*.jar", "log4j-slf4j2-impl-*.jar")
DRIVERS = ("org.xerial_sqlite-jdbc-*.jar", "org.postgresql_postgresql-*.jar")
END_SECONDS = 10


@contextmanager
def rest_catalog(properties: Mapping[str, str], log: Path, jars: Sequence[Path] = ()) -> Iterator[str]:
    """Run the server over a JDBC catalog with these properties (`uri`, `warehouse` and more); yields its address.

    `jars` is what a warehouse other than a local folder needs besides, such as Iceberg's for AWS. What Java prints goes to
    `log`. Raises RuntimeError when the server's own jars can't be fetched.
    """
    jars = [*server_jars(), *jars, *_matching(SPARK_JARS, FROM_SPARK), *_matching(ROOT / ".venv" / "jars", DRIVERS)]
    (py4j,) = SPARK_JARS.glob("py4j-*.jar")
    with log.open("w") as output:
        port, token, process = launch_gateway(
            jarpath=str(py4j),
            classpath=":".join(map(str, jars)),
            javaopts=["-Xmx384m", "-XX:+UseSerialGC"],
            die_on_exit=True,  # with the process that started it, however that ends
            redirect_stdout=output,
            redirect_stderr=output,
            enable_auth=True,
            return_proc=True,
        )
        gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True))
        try:
            yield f"http://127.0.0.1:{_serve(gateway.jvm, properties)}"
        finally:
            gateway.shutdown()
            process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _serve(jvm: Any, properties: Mapping[str, str]) -> int:
    """Start the servlet; return its port."""
    known = {"catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog", "jdbc.schema-version": "V1", **properties}
    catalog = jvm.org.apache.iceberg.CatalogUtil.buildIcebergCatalog("rest", known, jvm.org.apache.hadoop.conf.Configuration())
    servlet = jvm.org.apache.iceberg.rest.RESTCatalogServlet(jvm.org.apache.iceberg.rest.RESTCatalogAdapter(catalog))
    jetty = jvm.org.eclipse.jetty
    context = jetty.ee10.servlet.ServletContextHandler()
    context.addServlet(jetty.ee10.servlet.ServletHolder(servlet), "/*")
    server = jetty.server.Server(jvm.java.net.InetSocketAddress("127.0.0.1", 0))
    server.setHandler(context)
    server.start()
    return int(server.getURI().getPort())


def server_jars() -> list[Path]:
    """The jars of the server and of what it needs, fetched once into the user's cache folder."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringmill" / DEPENDENCIES.stem
    wanted = hashlib.sha256(DEPENDENCIES.read_bytes()).hexdigest()
    stamp = folder / ".ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            shutil.rmtree(folder, ignore_errors=True)
            _fetch(folder)
            stamp.write_text(wanted)
    return sorted(folder.glob("*.jar"))


def _fetch(folder: Path) -> None:
    (ivy,) = SPARK_JARS.glob("ivy-*.jar")
    pattern = f"{folder}/[artifact]-[revision](-[classifier]).[ext]"
    command = ["java", "-jar", str(ivy), "-ivy", str(DEPENDENCIES), "-confs", "default", "-retrieve", pattern]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the jars of {DEPENDENCIES.name} can't be fetched: {(done.stdout + done.stderr)[-2000:]}")


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]
