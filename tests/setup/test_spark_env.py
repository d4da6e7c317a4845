"""What conf/spark/spark-env.sh has Java do, by the class that it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from setup.small_work import main
from tests.root import ROOT

CONF = ROOT / "conf" / "spark"


def options(*arguments: str, **environment: str) -> tuple[str, str]:
    """SPARK_SUBMIT_OPTS and SPARK_DIST_CLASSPATH after Spark's scripts have read spark-env.sh with these arguments."""
    script = f'. "{CONF}/spark-env.sh"; printf "%s\\n%s" "$SPARK_SUBMIT_OPTS" "$SPARK_DIST_CLASSPATH"'
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "HADOOP_"))}
    given = {**clean, "RINGMILL_ROOT": str(ROOT), "SPARK_CONF_DIR": str(CONF), **environment}
    completed = subprocess.run(
        ["bash", "-c", script, "bash", *arguments], capture_output=True, text=True, check=True, env=given, cwd=ROOT
    )
    submit, _, path = completed.stdout.partition("\n")
    return submit, path


def test_an_ordinary_job_uses_the_archive_of_classes_and_the_jars() -> None:
    submit, path = options("org.apache.spark.deploy.SparkSubmit", "jobs/ingest.py", "--config", "conf/flights.yaml")
    assert f'"@{ROOT}/.venv/jars/java-options"' in submit
    assert f"-Dlog4j2.configurationFile={CONF}/log4j2.properties" in submit
    assert path == f"{ROOT}/.venv/jars/*:{ROOT}/.venv/jars/ringmill/*"  # ringmill's own is the last for local files


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--driver-class-path", "/x.jar", "jobs/ingest.py"), {}),
        (("--conf", "spark.driver.extraClassPath=/x.jar", "jobs/ingest.py"), {}),
        (("jobs/ingest.py",), {"HADOOP_CONF_DIR": "/etc/hadoop"}),
        (("jobs/ingest.py",), {"SPARK_DIST_CLASSPATH": "/opt/*"}),
    ],
)
def test_whoever_adds_to_the_class_path_does_without_the_archive(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    submit, path = options(*arguments, **environment)
    assert "java-options" not in submit
    assert path.startswith(f"{ROOT}/.venv/jars/*")


def test_whoever_writes_the_archive_has_options_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "java-options"
    own.write_text("-XX:ArchiveClassesAtExit=new.jsa")
    submit, _ = options("setup/class_archive.py", RINGMILL_JAVA_OPTIONS=str(own))
    assert f'"@{own}"' in submit
    assert f"{ROOT}/.venv/jars/java-options" not in submit


def test_a_class_path_in_a_properties_file_is_seen_too(tmp_path: Path) -> None:
    properties = tmp_path / "own.conf"
    properties.write_text("spark.driver.extraClassPath /x.jar\n")
    assert "java-options" not in options("--properties-file", str(properties), "jobs/ingest.py")[0]
    properties.write_text("spark.driver.memory 1g\n")
    assert "java-options" in options("--properties-file", str(properties), "jobs/ingest.py")[0]


def test_jobs_over_little_data_use_the_quick_compiler_alone(tmp_path: Path) -> None:
    quick = "-XX:TieredStopAtLevel=1"
    assert quick in options("SparkSubmit", "jobs/pipeline.py", "--config", "conf/flights.yaml", "--force")[0]
    assert quick in options("SparkSubmit", "/somewhere/jobs/train.py", "--config=conf/flights.yaml")[0]
    assert quick not in options("SparkSubmit", "jobs/ingest.py", "--config", str(tmp_path / "none.yaml"))[0]
    assert quick not in options("SparkSubmit", "benchmarks/cleaning.py", "--config", "conf/flights.yaml")[0]


def sources(folder: Path, **given: dict[str, str]) -> str:
    """A configuration file with these sources."""
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": given}))
    return str(path)


def sparse(path: Path, size: int) -> str:
    """A file of so many bytes, which takes no room; its path."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "name", "size", "small"),
    [
        ("csv", "a.csv", 128 << 20, True),
        ("csv", "a.csv", (128 << 20) + 1, False),
        ("csv", "a.csv.gz", 17 << 20, False),
        ("jsonl", "a.json", 128 << 20, True),
        ("parquet", "a.parquet", 16 << 20, True),
    ],
)
def test_sources_are_small_up_to_128_mb_of_text(tmp_path: Path, kind: str, name: str, size: int, small: bool) -> None:
    path = sparse(tmp_path / name, size)
    assert main(sources(tmp_path, a={"kind": kind, "path": path})) == (0 if small else 1)


def test_the_files_of_a_folder_add_up_and_of_intervals_the_largest_counts(tmp_path: Path) -> None:
    for day in ("01", "02"):
        sparse(tmp_path / "days" / f"v-{day}.csv", 100 << 20)
    assert main(sources(tmp_path, a={"kind": "csv", "path": str(tmp_path / "days")})) == 1
    assert main(sources(tmp_path, a={"kind": "csv", "path": str(tmp_path / "days" / "v-{from:%d}.csv")})) == 0


@pytest.mark.parametrize("source", [{"kind": "jdbc", "url": "jdbc:x"}, {"kind": "csv", "path": "s3a://b/a.csv"}, {}])
def test_what_is_elsewhere_is_taken_for_large(tmp_path: Path, source: dict[str, str]) -> None:
    assert main(sources(tmp_path, a=source)) == 1
