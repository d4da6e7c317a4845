"""Shuffles on two executors with the settings of conf/spark-secure: `python -m tests.pipelines.launch.secure <folder>`.

The last line of its output is what came of it, as JSON.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import functions as F

from tests.canary import holds, in_folder, watched_processes
from tests.pipelines.launch.cluster import two_executors
from tests.root import ROOT

WORD = "a word that is shuffled"
ROWS, GROUPS = 20_000, 7


def main(folder: Path) -> None:
    """Shuffle rows with a word in each, and look for it in what lies on disk, and for the secret in all command lines."""
    lines = (ROOT / "conf" / "spark-secure" / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    plain = {"spark.local.dir": str(folder), "spark.shuffle.compress": "false", "spark.eventLog.enabled": "true"}
    (folder / "events").mkdir()
    where = {"spark.eventLog.dir": (folder / "events").as_uri(), "spark.eventLog.compress": "false"}
    secret = secrets.token_hex(16)
    with watched_processes([secret]) as leaking:
        SparkContext._ensure_initialized()  # as a job does: PySpark would put what it knows on Java's command line
        spark = two_executors("ringmill secure", {**settings, **plain, **where, "spark.authenticate.secret": secret})
        rows = spark.range(ROWS).selectExpr(f"id % {GROUPS} AS key", f"concat('{WORD}', id) AS word").repartition(4, "key")
        counted = rows.groupBy("key").agg(F.count("*").alias("rows"), F.max("word"))  # else the words would not be shuffled
        groups = {row.key: row.rows for row in counted.collect()}
        files = {name: content for name, content in in_folder(folder) if name.endswith(".data")}
        encrypts = spark.sparkContext._jsc.sc().env().securityManager().isEncryptionEnabled()
        spark.stop()
    result = {
        "rows": sum(groups.values()),
        "groups": len(groups),
        "encrypts": encrypts,
        "bytes": sum(map(len, files.values())),
        "plain": [name for name, content in files.items() if WORD.encode() in content],
        "leaks": sorted(leaking) + [name for name, content in in_folder(folder) if holds(content, [secret])],
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
