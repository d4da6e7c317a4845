"""Stores that are no folder of this machine, for tests: HDFS, its NameNode and a DataNode in one process, and an S3 server."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pyspark
from moto.server import ThreadedMotoServer
from pyarrow import fs

from setup.postgres import free_port
from tests.java import QUICK_COMPILER
from tests.root import ROOT

HADOOP = "3.4.2"  # that of pyspark's own client
AWS_SDK = "2.29.52"  # that which this Hadoop was built with
# Hadoop's client for S3, with the parts of the SDK that it uses instead of the bundle of everything.
S3_PACKAGES = (
    f"org.apache.hadoop:hadoop-aws:{HADOOP}",
    *(f"software.amazon.awssdk:{part}:{AWS_SDK}" for part in ("s3", "s3-transfer-manager", "sts")),
)
HDFS_PACKAGES = (f"org.apache.hadoop:hadoop-client-minicluster:{HADOOP}", "junit:junit:4.13.2")
START_SECONDS = 60
KEY = "ringmill"
# Ivy fetches before Spark's context would be there, which nobody needs.
FETCH = (
    "from pyspark import SparkConf; from pyspark.java_gateway import launch_gateway; "
    "print(SparkConf(_jvm=launch_gateway().jvm).get('spark.jars'))"
)


def fetched(*packages: str) -> list[Path]:
    """The jars of packages and of what they need, which Ivy fetches once; pyspark has Hadoop's client and the SDK's bundle is
    left out.
    """
    left_out = "org.apache.hadoop:hadoop-client-api,org.apache.hadoop:hadoop-client-runtime,software.amazon.awssdk:bundle"
    quick = f"--driver-java-options {QUICK_COMPILER}"
    options = f"--master local[1] {quick} --packages {','.join(packages)} --exclude-packages {left_out} pyspark-shell"
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": options}
    completed = subprocess.run([sys.executable, "-c", FETCH], env=environment, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise RuntimeError(f"packages {', '.join(packages)} could not be fetched: {completed.stderr[-2000:]}")
    return [Path(urlparse(jar).path) for jar in completed.stdout.strip().split(",")]


@contextmanager
def hdfs_server(folder: Path) -> Iterator[str]:
    """Run HDFS with its files below `folder`; gives its address."""
    path = [*fetched(*HDFS_PACKAGES), Path(pyspark.__file__).parent / "jars" / "*"]
    details = folder / "details.json"
    command = [
        "java",
        "-Xmx256m",
        QUICK_COMPILER,
        f"-Djava.io.tmpdir={folder}",
        "-XX:-UsePerfData",
        "-cp",
        ":".join(map(str, path)),
        "org.apache.hadoop.test.MiniDFSClusterManager",
    ]
    command += ["-format", "-datanodes", "1", "-writeDetails", str(details), "-D", "dfs.replication=1"]
    with (folder / "hdfs.log").open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not details.exists() or not details.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"HDFS did not start: {(folder / 'hdfs.log').read_text()[-2000:]}")
                time.sleep(0.1)
            yield f"hdfs://127.0.0.1:{json.loads(details.read_text())['namenode_port']}"
        finally:
            process.kill()


def put_on_hdfs(file: Path, address: str) -> None:
    """Copy a file to the root folder of HDFS at an address."""
    (file.parent / "core-site.xml").write_text("<configuration/>")  # which Hadoop's shell does not go without
    path = f"{file.parent}:{Path(pyspark.__file__).parent / 'jars' / '*'}"
    command = ["java", QUICK_COMPILER, "-XX:-UsePerfData", "-cp", path, "org.apache.hadoop.fs.FsShell"]
    subprocess.run([*command, "-put", str(file.resolve()), f"{address}/{file.name}"], check=True, capture_output=True)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server that speaks S3 and keeps its objects in memory; gives its address."""
    port = free_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def s3_files(address: str) -> fs.S3FileSystem:
    """The server's files, for a test to write and read."""
    return fs.S3FileSystem(
        access_key=KEY, secret_key=KEY, region="us-east-1", endpoint_override=address, allow_bucket_creation=True
    )


def s3_variables(address: str) -> dict[str, str]:
    """The environment variables by which a job reaches the server."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": address}


def s3_settings(address: str) -> dict[str, str]:
    """Spark's settings by which its driver, with `s3_variables` in its environment, and its executors reach the server."""
    return {
        "spark.hadoop.fs.s3a.endpoint": address,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        **{f"spark.executorEnv.{name}": value for name, value in s3_variables(address).items()},
    }


def s3_packages() -> dict[str, str]:
    """Spark's settings that fetch Hadoop's client for S3 beside ringmill's own jars."""
    jars = (ROOT / "setup" / "jars.txt").read_text().split()
    return {
        "spark.jars.packages": ",".join([*jars, *S3_PACKAGES]),
        "spark.jars.excludes": "software.amazon.awssdk:bundle",
    }
