"""Copy the jars that spark-submit has resolved to a folder: `spark-submit --packages … setup/copy_jars.py FOLDER`."""

import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyspark.sql import SparkSession


def main(folder: str) -> None:
    """Copy every jar of the application, under its own name."""
    spark = SparkSession.builder.getOrCreate()
    jars = [Path(unquote(urlparse(jar).path)).name for jar in spark.sparkContext._jsc.sc().listJars().mkString(" ").split()]
    local = [Path(name) for name in (spark.conf.get("spark.jars") or "").split(",")]
    spark.stop()
    target = Path(folder)
    target.mkdir()
    for jar in local:
        shutil.copy2(unquote(urlparse(str(jar)).path), target)
    assert len(list(target.iterdir())) == len(jars)


if __name__ == "__main__":
    main(sys.argv[1])
