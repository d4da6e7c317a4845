"""Spark's daemon of Python workers, which imports pyspark from where it is installed: `spark.python.daemon.module`.

Spark puts archives of pyspark and py4j before all else on its workers' path. There is no compiled code in them, so that every
executor compiles pyspark anew before its first Python task, for a second, and looks into the archives before each later one.

Workers are killed at their executor's end. What they, and libraries within them, write to the folder for temporary files, or
would write to a home that has nothing of theirs, goes to the executor's own folder, which Spark removes.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from zipimport import zipimporter

from pipelines.temporary import executor_folder, homes_within

ARCHIVES = re.compile(r".*/(pyspark|py4j-[\d.]+-src)\.zip")


def without_archives(path: list[str]) -> list[str]:
    """The path without Spark's archives, where the version that is in them is installed as well; otherwise as it is."""
    archives = [entry for entry in path if ARCHIVES.fullmatch(entry)]
    for archive in archives:
        with suppress(ImportError, PackageNotFoundError):  # that of py4j has no pyspark in it
            packed = zipimporter(f"{archive}/pyspark").get_source("version") or ""
            if re.search(rf"""["']{re.escape(version("pyspark"))}["']""", packed):
                return [entry for entry in path if entry not in archives]
    return path


if __name__ == "__main__":
    sys.path[:] = without_archives(sys.path)
    if folder := executor_folder():
        os.environ.update(homes_within(folder), TMPDIR=str(folder))
    runpy.run_module("pyspark.daemon", run_name="__main__", alter_sys=True)
