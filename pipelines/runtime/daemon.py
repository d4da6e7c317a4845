"""Spark's daemon of Python workers, which imports pyspark from where it is installed: `spark.python.daemon.module`.

Workers are killed at their executor's end. What they, and libraries within them, write to the folder for temporary files, or
would write to a home that has nothing of theirs, goes to the executor's own folder, which Spark removes.
"""

from __future__ import annotations

import os
import runpy

from pipelines.runtime.archives import leave_out_archives
from pipelines.temporary import executor_folder, homes_within

if __name__ == "__main__":
    leave_out_archives()
    if folder := executor_folder():
        os.environ.update(homes_within(folder), TMPDIR=str(folder))
    runpy.run_module("pyspark.daemon", run_name="__main__", alter_sys=True)
