"""What launches ranks: both ways train the same, an encrypted cluster has to be allowed, a GPU goes to one rank."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark import SparkConf
from pyspark.sql import SparkSession

from pipelines.errors import ConfigError, DataError
from pipelines.launch.ranks import run_ranks
from pipelines.launch.stock import leave_signals_alone
from tests.pipelines.launch.cluster import ranks_run
from tests.pipelines.launch.test_ranks import job, last_arrays
from tests.pipelines.training import rank_without_export
from tests.processes import environment
from tests.root import ROOT


@pytest.mark.slow
def test_horovods_own_launcher_trains_the_same_weights(spark: SparkSession, tmp_path: Path) -> None:
    weights = []
    for launcher in ("barrier", "horovod_spark"):
        folder = tmp_path / launcher
        folder.mkdir()
        training = job(folder, 2, 4)
        with ranks_run(rank_without_export.MODULE):
            run_ranks(spark, 2, training.model_dump_json(), lambda _: None, launcher=launcher)
        weights.append(last_arrays(training))
    for first, second in zip(*weights, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


def test_horovods_own_launcher_leaves_the_drivers_signals_alone() -> None:
    from horovod.runner import gloo_run

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    leave_signals_alone()
    event = gloo_run.launch_gloo.__globals__["register_shutdown_event"]()
    assert not event.is_set()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# Horovod's launcher leaves an exception to its own thread.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_a_rank_is_as_clear_with_horovods_own_launcher(spark: SparkSession, tmp_path: Path) -> None:
    training = job(tmp_path, 2, 4)
    (tmp_path / "features.parquet").unlink()
    with pytest.raises(DataError, match=r"rank \d on .*: features file .*can't be read"):
        run_ranks(spark, 2, training.model_dump_json(), lambda _: None, launcher="horovod_spark")


@pytest.mark.slow
def test_a_cluster_that_encrypts_has_to_be_allowed_in_plain_words(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, given = job(tmp_path, 1, 8).model_dump_json(), spark.sparkContext.getConf().getAll()
    settings = ("spark.ssl.enabled", "spark.ssl.rpc.enabled", "spark.network.crypto.enabled")

    def turn_on(*names: str) -> None:
        conf = SparkConf(loadDefaults=False).setAll([*given, *((name, "true") for name in names)])
        monkeypatch.setattr(spark.sparkContext, "getConf", lambda: conf)

    for setting in settings:
        turn_on(setting)
        with pytest.raises(ConfigError, match=rf"(?s)train\.allow_plain_transport: .*{setting}\).*Expected allow") as caught:
            run_ranks(spark, 1, training, lambda _: None)
        assert caught.value.exit_code == 2
    turn_on(*settings)
    kinds: list[str] = []
    with ranks_run(rank_without_export.MODULE):
        run_ranks(spark, 1, training, lambda message: kinds.append(message.content.kind), plain=True)
    assert "done" in kinds


@pytest.mark.slow
def test_each_rank_sees_the_gpu_that_spark_gave_its_task(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipelines.launch.gpus", str(tmp_path)]
    completed = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert completed.returncode == 0, completed.stderr[-3000:]
    assert sorted(json.loads((tmp_path / "seen.json").read_text()).values()) == ["0", "1"]
