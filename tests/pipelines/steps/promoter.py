"""Promotes a version in a process of its own: usage: promoter FOLDER PIPELINE VERSION. See `wait_for_other`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession

from pipelines.errors import RingmillError
from pipelines.io.catalog import catalog_settings
from pipelines.registry.digest import check_bundle
from pipelines.runtime.execute import execute
from pipelines.runtime.session import SETTINGS
from pipelines.steps import promote as promoting
from pipelines.steps.promote import Promotion, promote_step
from tests.contexts import quiet_context
from tests.java import SESSION
from tests.sample import pipeline

PATIENCE = 120.0


def wait_for_other(folder: Path, name: str) -> None:
    """Say that this one has read who is champion, and wait until two have."""
    (folder / f"{name}.ready").touch()
    ends = time.monotonic() + PATIENCE
    while len(list(folder.glob("*.ready"))) < 2:
        assert time.monotonic() < ends, "the other process never came"
        time.sleep(0.01)


def promote_beside_another(spark: SparkSession, folder: Path, name: str, version: int) -> RingmillError | None:
    """Promote a version once another process is about to do so, too; the error, if this one is refused."""
    config = pipeline(folder, name, lambda content: content.pop("registry"))
    context = quiet_context(spark, config, f"run_of_{version}")

    def check(uri: str, expected: str) -> None:
        check_bundle(uri, expected)
        wait_for_other(folder, f"version{version}")

    with patch.object(promoting, "check_bundle", check):
        try:
            execute(promote_step(Promotion(version, f"by{version}", "")), context, force=True)
        except RingmillError as error:
            return error
    return None


def main(folder: Path, name: str, version: int) -> int:
    """Promote, and print the error of a refusal; its exit code."""
    builder = SparkSession.builder.master("local[1]").config("spark.driver.extraJavaOptions", SESSION)
    config = pipeline(folder, name)
    for key, value in {**SETTINGS, **catalog_settings(config.lake), "spark.ui.enabled": "false"}.items():
        builder = builder.config(key, value)
    error = promote_beside_another(builder.getOrCreate(), folder, name, version)
    print(error or "")
    return error.exit_code if error else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
