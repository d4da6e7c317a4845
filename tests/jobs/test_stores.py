"""The whole job past one machine: files on HDFS and S3, tables, checkpoints, model and report on S3, the catalog in PostgreSQL,
executors that a Spark cluster's own workers start; all of it by configuration.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyarrow import fs

from setup.postgres import PostgresServer
from tests.canary import in_folder, leaks, watched_processes
from tests.departures import departures
from tests.java import BRIEF_APPLICATION
from tests.jobs.several import in_turn
from tests.processes import environment, left_since, running
from tests.root import ROOT
from tests.sample import write_sample
from tests.standalone import cluster
from tests.stores import hdfs_server, put_on_hdfs, s3_files, s3_packages, s3_server, s3_settings, s3_variables

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
CANARY = secrets.token_hex(16)


@dataclass(frozen=True)
class Stores:
    """The servers, and the options and variables by which a job reaches them."""

    objects: fs.S3FileSystem
    hdfs: str
    options: list[str]
    environment: dict[str, str]
    logs: Path

    def submit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """spark-submit a program with its arguments, on the cluster where they name no other master."""
        command = [str(BIN / "spark-submit"), *self.options, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=self.environment, timeout=600)


@pytest.fixture(scope="module")
def stores(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """All servers."""
    folder = tmp_path_factory.mktemp("servers")
    with s3_server() as s3, hdfs_server(folder) as hdfs, cluster(folder) as master:
        settings = {
            "spark.master": master,
            "spark.driver.memory": "1g",
            "spark.executor.memory": "1g",
            "spark.executor.cores": "1",
            **BRIEF_APPLICATION,
            **s3_packages(),
            **s3_settings(s3),
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": (folder / "events").as_uri(),
            "spark.eventLog.compress": "false",
        }
        (folder / "events").mkdir()
        options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
        credentials = {
            "RINGMILL_CATALOG_PASSWORD": postgres.password,
            "RINGMILL_CANARY": CANARY,
            "RINGMILL_WEBHOOK": f"http://127.0.0.1:1/{CANARY}",
        }
        yield Stores(s3_files(s3), hdfs, options, {**environment(), **s3_variables(s3), **credentials}, folder)


@pytest.fixture(scope="module")
def config(stores: Stores, postgres: PostgresServer, flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration over a sample that has been put on HDFS and S3."""
    folder = tmp_path_factory.mktemp("stores")
    write_sample(flights_csv, folder)
    stores.objects.create_dir("lake")
    for name in ("flights", "airlines"):
        with stores.objects.open_output_stream(f"lake/in/{name}.csv") as file:
            file.write((folder / f"{name}.csv").read_bytes())
    put_on_hdfs(folder / "planes.csv", stores.hdfs)

    def edit(content: dict[str, Any]) -> None:
        catalog = {"type": "jdbc", "uri": postgres.url, "jdbc.user": postgres.user, "jdbc.schema-version": "V1"}
        content["lake"] = {
            "warehouse": "s3a://lake/tables",
            "catalog": {**catalog, "jdbc.password": "${RINGMILL_CATALOG_PASSWORD}", "header.X-Key": "${RINGMILL_CANARY}"},
        }
        content["notify"] = {"url": "RINGMILL_WEBHOOK"}
        content["sources"]["flights"]["path"] = "s3a://lake/in/fl*.csv"
        content["sources"]["airlines"]["path"] = "s3a://lake/in/airlines.csv"
        content["sources"]["planes"]["path"] = f"{stores.hdfs}/planes.csv"

    path = folder / "stores.yaml"
    path.write_text(yaml.safe_dump(departures(folder, "stores", edit)))
    return path


def left_of(
    stores: Stores, completed: subprocess.CompletedProcess[str], postgres: PostgresServer
) -> Iterator[tuple[str, bytes]]:
    """All that a run wrote: output, catalog, tables with their metadata, models, reports, event logs, executors' logs."""
    yield "output", (completed.stdout + completed.stderr).encode()
    yield "catalog", postgres.execute("select * from iceberg_tables; select * from iceberg_namespace_properties").encode()
    infos = stores.objects.get_file_info(fs.FileSelector("lake/tables", recursive=True))
    files = [(info.path, stores.objects.open_input_file(info.path).readall()) for info in infos if info.is_file]
    logs = list(in_folder(stores.logs))
    kinds = {Path(name).suffix for name, _ in files}
    assert {".parquet", ".avro", ".json", ".html", ".keras", ".npz"} <= kinds
    assert [name for name, content in logs if "/events/" in name and b"SparkListenerEnvironmentUpdate" in content]
    assert [name for name, _ in logs if name.endswith("stderr")]
    yield from files
    yield from logs


def test_the_whole_job_runs_on_a_cluster_with_stores_and_a_catalog(
    stores: Stores, postgres: PostgresServer, config: Path
) -> None:
    before = running()
    credentials = [postgres.password, CANARY]
    with watched_processes(credentials) as leaking:
        completed = stores.submit("jobs/pipeline.py", "--config", str(config))
    assert completed.returncode == 0, f"{completed.stdout}\n{completed.stderr}"
    assert not left_since(before)
    assert re.search(r"ingest +flights +8,420 +8,420 +0 +0 +0", completed.stdout), completed.stdout
    paths = [info.path for info in stores.objects.get_file_info(fs.FileSelector("lake/tables", recursive=True)) if info.is_file]
    artifacts = "\n".join(path for path in paths if path.startswith("lake/tables/_artifacts/stores"))
    for file in ("manifest.json", "saved_model/saved_model.pb", "model.keras", "report.html", ".npz"):
        assert file in artifacts
    assert not [path for path in paths if "partial" in path]
    assert int(postgres.execute("select count(*) from iceberg_tables where table_namespace = 'stores'")) > 15
    assert not leaking
    assert leaks(left_of(stores, completed, postgres), credentials) == []

    jobs = [(name, "--config", str(config)) for name in ("pipeline", "maintain")]
    # Executors reach the stores, as was seen above; what there is to tidy the driver does before they would have started.
    again, maintained = in_turn(config.parent, str(config), jobs, partial(stores.submit, "--master", "local[2]"))
    assert again.code == 0, again.printed
    steps = ["ingest", "clean", "features", "train", "evaluate", "publish"]
    assert re.findall(r"(\w+): nothing to do", again.printed) == steps, again.printed
    assert maintained.code == 0, maintained.printed
