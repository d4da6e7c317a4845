"""Spark's archives of pyspark and py4j, which it puts before all else on the path of the Python that it starts.

There is no compiled code in them: a driver, or an executor before its first Python task, compiles pyspark anew, for half a
second or more, and looks into the archives before each import that follows.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from zipimport import zipimporter

ARCHIVES = re.compile(r".*/(pyspark|py4j-[\d.]+-src)\.zip")


def leave_out_archives() -> None:
    """Have this process import pyspark from where it is installed; to be called before anything imports it."""
    sys.path[:] = without_archives(sys.path)


def without_archives(path: list[str]) -> list[str]:
    """The path without Spark's archives, where the version that is in them is installed as well; otherwise as it is."""
    archives = [entry for entry in path if ARCHIVES.fullmatch(entry)]
    for archive in archives:
        with suppress(ImportError, PackageNotFoundError):  # that of py4j has no pyspark in it
            packed = zipimporter(f"{archive}/pyspark").get_source("version") or ""
            if re.search(rf"""["']{re.escape(version("pyspark"))}["']""", packed):
                return [entry for entry in path if entry not in archives]
    return path
