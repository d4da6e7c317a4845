"""Writes features to S3 while attempts are lost: `python -m tests.pipelines.features.lost_attempts <folder> <master> <S3>`.

Of the tasks' first attempts one is killed with its executor, one fails, and one is overtaken by a speculative attempt, all of
them once their files are written. What came of it lies in `<folder>/result.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlparse

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark import TaskContext
from pyspark.sql import SparkSession

from pipelines.config import LakeConfig
from pipelines.features.files import FeatureWriter, samples_of
from pipelines.features.fitted import FittedNumeric, FittedSpec
from pipelines.io.audit import Audit
from pipelines.io.catalog import catalog_settings
from pipelines.io.lake import Lake
from pipelines.io.row_groups import files_at
from pipelines.io.task_files import FileLayout, WrittenFile, run_tasks
from schemas import tables
from tests.pipelines.launch.cluster import application
from tests.stores import s3_files, s3_packages, s3_settings

SPLITS = ("train", "validation", "test")
ROWS = 600  # of a task
KILLED, FAILED, OVERTAKEN, UNDISTURBED = range(4)
INTERVAL = {"interval_from": datetime(2013, 1, 1, tzinfo=UTC), "interval_to": datetime(2014, 1, 1, tzinfo=UTC)}
SPEC = FittedSpec(features=(FittedNumeric(name="x", fill=0, clip=None, log1p=False, offset=1, scale=2),))


@dataclass(frozen=True)
class LostAttempts:
    """Writes features as its writer does, but for the first attempts of three tasks, of which nobody gets the result."""

    writer: FeatureWriter

    def __call__(self, part: int) -> Iterator[WrittenFile]:
        """Write the part, and lose the attempt."""
        written = list(self.writer(part))
        task = TaskContext.get()
        assert task is not None
        if task.attemptNumber() == 0:
            if part == KILLED:
                next(each for each in psutil.Process(os.getpid()).parents() if each.name() == "java").kill()
            if part == FAILED:
                raise RuntimeError("this attempt fails once it has written")
            if part == OVERTAKEN:
                time.sleep(600)
        yield from written


def main(folder: Path, master: str, address: str) -> None:
    """Write, publish, and look at table and store."""
    spark = session(folder, master, address)
    store = s3_files(address)
    store.create_dir("lake")
    lake = Lake(spark, "lost", "run1")
    with Audit(lake, "features") as audit:
        partitions = [{**INTERVAL, "split": split} for split in SPLITS]
        reported: list[WrittenFile] = []

        def write(layout: FileLayout) -> list[WrittenFile]:
            parts = files_at([str(examples(folder, part)) for part in range(UNDISTURBED + 1)]).parts
            groups = tuple((group,) for part in parts for group in part)
            writer = FeatureWriter(groups, SPEC, layout, SPLITS, ("row_id", "split", "label"), INTERVAL, 100)
            reported.extend(run_tasks(spark, len(groups), LostAttempts(writer)))
            return reported

        rows = audit.write_files(tables.features((), SPEC.columns), partitions, INTERVAL, write)
        audit.publish()
    result = {
        "rows": rows,
        "samples": sorted(sample.row_id for sample in samples_of(reported)),
        "features": [[row.row_id, row.split, row.x] for row in lake.read("features").orderBy("row_id").collect()],
        "committed": sorted(key(row.file_path) for row in lake.read("features.files").collect()),
        "stored": stored(store),
        "orphans": sorted(map(key, removed_orphans(lake))),
    }
    result["left"] = stored(store)
    (folder / "result.json").write_text(json.dumps(result))
    spark.stop()


def session(folder: Path, master: str, address: str) -> SparkSession:
    """A session whose tables lie in S3, with speculation that begins at once."""
    catalog = {"type": "jdbc", "uri": f"jdbc:sqlite:{folder}/catalog.db", "jdbc.schema-version": "V1"}
    settings = {
        **catalog_settings(LakeConfig(warehouse="s3a://lake/tables", catalog=catalog)),
        **s3_packages(),
        **s3_settings(address),
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.quantile": "0.1",
        "spark.speculation.multiplier": "1.5",
    }
    return application(master, "ringmill lost attempts", settings)


def examples(folder: Path, part: int) -> Path:
    """The examples of a part, in one row group of a file of their own."""
    path = folder / f"examples-{part}.parquet"
    ids = range(part * ROWS, (part + 1) * ROWS)
    columns = {"row_id": ids, "split": [SPLITS[number % 3] for number in ids], "label": [1.0] * ROWS, "x": map(float, ids)}
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    return path


def key(uri: str) -> str:
    """Where a file lies in the store."""
    parsed = urlparse(uri)
    return f"{parsed.netloc}{parsed.path}"


def stored(store: fs.S3FileSystem) -> list[str]:
    """The data files that are in the store."""
    infos = store.get_file_info(fs.FileSelector("lake/tables/lost/features", recursive=True))
    return sorted(info.path for info in infos if info.path.endswith(".parquet"))


def removed_orphans(lake: Lake) -> list[str]:
    """Remove the table's orphans as `maintain` does, but those of today too, which Iceberg's procedure leaves alone."""
    jvm = lake.spark._jvm
    assert jvm is not None
    table = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(lake.spark._jsparkSession, lake.identifier("features"))
    action = jvm.org.apache.iceberg.spark.actions.SparkActions.get(lake.spark._jsparkSession).deleteOrphanFiles(table)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000
    return list(action.olderThan(int(tomorrow)).execute().orphanFileLocations())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
