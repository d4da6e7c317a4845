"""Spark's event log and its metrics for Prometheus come by the section `spark`; a folder that can't be written to is exit 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyspark import SparkConf

from pipelines.config import Pipeline, read_config
from pipelines.errors import ConfigError
from pipelines.runtime.monitoring import monitoring_settings
from setup.postgres import free_port
from tests.root import ROOT

APPLICATION = """
import json, sys, urllib.request
from pathlib import Path
import psutil
from pipelines.config import read_config
from pipelines.runtime.session import spark_session

config = read_config(Path(sys.argv[1]))
port = config.spark.prometheus_port
with spark_session(config, "probe") as spark:
    spark.range(10).count()
    pages = [
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).read().decode()
        for path in ("/metrics/prometheus/", "/metrics/executors/prometheus/")
    ]
    [java] = [child for child in psutil.Process().children(recursive=True) if child.name() == "java"]
    listens = [c.laddr.ip for c in java.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port]
    print(json.dumps({"pages": pages, "listens": listens, "id": spark.sparkContext.applicationId}))
"""


def configured(folder: Path, **section: object) -> Path:
    """The flights configuration with a section `spark` and a warehouse of its own."""
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content["lake"]["warehouse"] = str(folder / "warehouse")
    (folder / "monitored.yaml").write_text(yaml.safe_dump({**content, "spark": section}))
    return folder / "monitored.yaml"


def pipeline(folder: Path, **section: object) -> Pipeline:
    """The same, read."""
    return read_config(configured(folder, **section))


def events_of(folder: Path) -> list[dict[str, Any]]:
    """The events of all logs in a folder, in whichever form Spark wrote them."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".", "appstatus"))]
    texts = [pa.input_stream(path, compression="zstd" if path.suffix == ".zstd" else None).read().decode() for path in files]
    return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.mark.slow
def test_an_application_writes_its_event_log_and_is_scraped(tmp_path: Path) -> None:
    config = configured(tmp_path, event_log=str(tmp_path / "new" / "event log"), prometheus_port=free_port())
    completed = subprocess.run(
        [sys.executable, "-c", APPLICATION, str(config)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert completed.returncode == 0, completed.stderr[-3000:]
    report = json.loads(completed.stdout.splitlines()[-1])
    metrics, executors = report["pages"]
    assert "metrics_ringmill_flights_driver_BlockManager_memory_maxMem_MB_Number" in metrics
    assert 'metrics_executor_totalTasks_total{application_id="' in executors and report["id"] in executors
    assert {address.removeprefix("::ffff:") for address in report["listens"]} == {"127.0.0.1"}
    assert "warning: spark.prometheus_port" not in completed.stderr
    events = events_of(tmp_path / "new" / "event log")
    [start] = [event for event in events if event["Event"] == "SparkListenerApplicationStart"]
    assert (start["App ID"], start["App Name"]) == (report["id"], "ringmill flights probe")
    assert [event["Event"] for event in events].count("SparkListenerApplicationEnd") == 1


def test_the_folder_of_an_event_log_is_created_whoever_turned_it_on(tmp_path: Path) -> None:
    settings = monitoring_settings(pipeline(tmp_path, event_log=str(tmp_path / "a" / "logs")), SparkConf(loadDefaults=False))
    assert settings == {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{tmp_path}/a/logs"}
    given = SparkConf(loadDefaults=False).set("spark.eventLog.dir", f"file:{tmp_path}/b%20c")
    assert monitoring_settings(pipeline(tmp_path), given) == {} and not (tmp_path / "b c").exists()
    given.set("spark.eventLog.enabled", "true")
    assert (
        monitoring_settings(pipeline(tmp_path), given) == {} and (tmp_path / "b c").is_dir() and (tmp_path / "a/logs").is_dir()
    )
    remote = monitoring_settings(pipeline(tmp_path, event_log="s3a://bucket/logs"), given)
    assert remote["spark.eventLog.dir"] == "s3a://bucket/logs"


def test_a_folder_that_can_not_be_written_to_is_refused_by_the_key_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        ConfigError, match=rf"^spark\.event_log: the folder {tmp_path}/file/logs for Spark's event log can't be"
    ):
        monitoring_settings(pipeline(tmp_path, event_log=str(tmp_path / "file" / "logs")), SparkConf(loadDefaults=False))
    given = SparkConf(loadDefaults=False).set("spark.eventLog.enabled", "true").set("spark.eventLog.dir", f"{tmp_path}/file")
    with pytest.raises(ConfigError, match=r"^spark\.eventLog\.dir: the folder .*/file for Spark's .* \(File exists\)"):
        monitoring_settings(pipeline(tmp_path), given)


@pytest.mark.parametrize(
    ("section", "expected"),
    [({"prometheus_port": 80}, r"spark\.prometheus_port"), ({"spark.ui.enabled": True}, r"spark\.spark\.ui\.enabled")],
)
def test_a_wrong_section_is_refused_by_its_key(tmp_path: Path, section: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        pipeline(tmp_path, **section)
