"""Ranks in Spark tasks: they train together, see every row once, and what goes wrong is one clear error."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from pipelines.config import Binary, Network, Optimizer, TrainConfig
from pipelines.errors import ConfigError, DataError, ExternalError, RankError, RingmillError
from pipelines.features.fitted import FittedCategorical, FittedNumeric, FittedSpec
from pipelines.launch.barrier import warm_up_sql
from pipelines.launch.ranks import run_ranks, warming
from pipelines.messages import Content, Done, EpochReport, FeedReceipt, Handshake, Message, Ready
from pipelines.training import checkpoint
from pipelines.training.job import TrainingJob
from pipelines.training.plan import RowPlan, read_groups
from tests.pipelines.launch.cluster import ranks_run
from tests.pipelines.training import rank_without_export
from tests.processes import left_since, running

ROWS = 45
SPEC = FittedSpec(
    features=(
        FittedNumeric(name="x", fill=0, clip=None, log1p=False, offset=0, scale=1),
        FittedCategorical(name="w", vocabulary=("a", "b")),
    )
)


def job(folder: Path, ranks: int, batch: int, **config: object) -> TrainingJob:
    """A training run over a small file in `folder`, its results in a folder of its own."""
    path = folder / "features.parquet"
    if not path.exists():
        generator = np.random.default_rng(3)
        x, w = generator.normal(size=ROWS).astype(np.float32), generator.integers(0, 3, ROWS).astype(np.int32)
        columns = {"row_id": np.arange(ROWS), "label": (x + w > 1).astype(np.float32), "x": x, "w": w}
        pq.write_table(pa.table(columns), path, row_group_size=20)
    settings = {
        "ranks": ranks,
        "batch_size": batch,
        "epochs": 2,
        "network": Network(hidden=(4,)),
        "optimizer": Optimizer(name="Adam", learning_rate=0.05),
        **config,
    }
    return job_over(path, TrainConfig.model_validate(settings), str(ranks))


def job_over(path: Path, config: TrainConfig, name: str, *, shuffle: bool = True) -> TrainingJob:
    """A training run over a file, its results beside it under a name."""
    common = {
        "groups": read_groups([str(path)]),
        "ranks": config.ranks,
        "batch_size": config.batch_size,
        "seed": 5,
        "shuffle_rows": config.shuffle_rows,
    }
    return TrainingJob(
        run_id="r",
        pipeline="p",
        config=config,
        task=Binary(),
        spec=SPEC,
        train=RowPlan(shuffle=shuffle, **common),
        validation=RowPlan(shuffle=False, **common),
        checkpoints=str(path.parent / f"checkpoints-{name}"),
        model=str(path.parent / f"model-{name}"),
    )


def last_arrays(training: TrainingJob) -> list[npt.NDArray[np.float32]]:
    """What its last checkpoint holds: weights, then the optimizer's state, then the best epoch's weights."""
    latest = checkpoint.newest(training.checkpoints, lambda error: pytest.fail(str(error)))
    assert latest
    return latest[1].arrays


C = TypeVar("C", bound=Content)


def contents_of(kind: type[C], messages: list[Message]) -> list[C]:
    """The contents of one kind, in the order in which they came."""
    return [message.content for message in messages if isinstance(message.content, kind)]


def train(spark: SparkSession, training: TrainingJob) -> list[Message]:
    """Run it, all but the export, and return the ranks' messages."""
    messages: list[Message] = []
    with ranks_run(rank_without_export.MODULE):
        run_ranks(spark, training.config.ranks, training.model_dump_json(), messages.append, start_seconds=90)
    return messages


@contextmanager
def leaving_no_rank() -> Iterator[None]:
    """Checks that ranks and their launcher end with what starts them within."""
    names = ("pipelines.training.rank", "hydra_pmi_proxy", "mpiexec.hydra")
    before = running(names)
    yield
    assert left_since(before, names) == set()


@pytest.fixture(autouse=True)
def no_rank_is_left() -> Iterator[None]:
    """However a run ends, its ranks and their launcher end with it."""
    with leaving_no_rank():
        yield


class Trained(NamedTuple):
    """A run of two ranks: its messages, the TMPDIR of each rank and the addresses on which ranks listened, the files that
    proxies left in /tmp, where its scalars are for TensorBoard, and Horovod's timeline.
    """

    messages: list[Message]
    folders: list[Path]
    addresses: set[str]
    proxy_files: set[Path]
    board: Path
    timeline: Path


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One run over several steps, for several tests."""
    folder = tmp_path_factory.mktemp("trained")
    board, timeline = folder / "board", folder / "timeline.json"
    training = job(folder, 2, 4).model_copy(update={"tensorboard": str(board), "timeline": str(timeline)})
    messages, folders, addresses, before = list[Message](), set[Path](), set[str](), proxy_files()

    def listen(message: Message) -> None:
        messages.append(message)
        if isinstance(message.content, Ready):
            for process in running(("pipelines.training.rank",)):
                with suppress(psutil.Error):
                    if "python" not in process.name():
                        continue  # mpiexec, whose own port is held to the loopback device
                    folders.add(Path(process.environ()["TMPDIR"]))
                    connections = process.net_connections("inet")
                    addresses.update(each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN)

    with leaving_no_rank():
        run_ranks(spark, 2, training.model_dump_json(), listen, start_seconds=90)
    return Trained(messages, sorted(folders), addresses, proxy_files() - before, board, timeline)


def proxy_files() -> set[Path]:
    """The files in which proxies, those of other tests too, describe the processors to their ranks."""
    return set(Path(tempfile.gettempdir()).glob("hydra_hwloc_xmlfile_*"))


@pytest.mark.slow
def test_temporary_files_of_ranks_go_with_them_and_they_listen_on_the_loopback(trained: Trained) -> None:
    assert [folder.name.startswith("ringmill-tmp-rank-") for folder in trained.folders] == [True, True]
    assert [folder.parent.name.startswith("blockmgr-") for folder in trained.folders] == [True, True]  # which Spark removes
    assert trained.addresses == {"127.0.0.1"}
    assert [folder for folder in trained.folders if folder.exists()] == []
    deadline = time.monotonic() + 120  # those of ranks that another worker tests meanwhile go with them
    while (remaining := trained.proxy_files & proxy_files()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert remaining == set()


@pytest.mark.slow
def test_two_ranks_train_what_one_trains(spark: SparkSession, tmp_path: Path) -> None:
    one, two = job(tmp_path, 1, 64), job(tmp_path, 2, 32)
    assert one.train.steps(0) == two.train.steps(0) == 1  # all 45 rows in one step, 22 and 23 of them a rank
    alone, together = train(spark, one), train(spark, two)
    weights = [last_arrays(training) for training in (one, two)]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)
    losses = [[report.train_loss for report in contents_of(EpochReport, messages)] for messages in (alone, together)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-6)
    assert losses[0][1] < losses[0][0]


@pytest.mark.slow
def test_receipts_count_every_row_of_every_epoch(trained: Trained) -> None:
    receipts = contents_of(FeedReceipt, trained.messages)
    for epoch in (0, 1):
        mine = [receipt for receipt in receipts if receipt.epoch == epoch]
        assert sorted(receipt.rank for receipt in mine) == [0, 1]
        assert sum(receipt.rows for receipt in mine) == ROWS
        assert sum(receipt.checksum for receipt in mine) == sum(range(ROWS))


def job_status(spark: SparkSession, job_id: int) -> str:
    """What has become of a job."""
    info = spark.sparkContext.statusTracker().getJobInfo(job_id)
    assert info is not None
    return str(info.status)


def test_python_workers_start_while_a_launch_is_planned(spark: SparkSession) -> None:
    tasks = spark.sparkContext.statusTracker().getJobIdsForGroup
    before = set(tasks())
    with warming(spark, 99):
        pass
    assert set(tasks()) == before  # there are fewer slots, which the launch says better
    with warming(spark, 2):
        pass
    (new,) = set(tasks()) - before
    deadline = time.monotonic() + 60  # on a busy machine the workers are not waited for until they are there
    while (status := job_status(spark, new)) == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status == "SUCCEEDED"
    assert len(running(("pipelines.runtime.daemon",))) >= 2


def workers(spark: SparkSession) -> dict[int, bool]:
    """The Python workers of tasks of Spark SQL, and whether each has a module that no task needs."""

    def inspect(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"id": [os.getpid()], "is_there": ["colorsys" in sys.modules]})

    rows = spark.range(0, 2, 1, 2).mapInArrow(inspect, "id long, is_there boolean", barrier=True).collect()
    return {row.id: row.is_there for row in rows}


def test_workers_of_sql_that_were_started_ahead_serve_the_next_tasks(spark: SparkSession) -> None:
    before = workers(spark)
    assert before and not any(before.values())
    warm_up_sql(spark, 2, ("no_such_module", "colorsys"))
    warm_up_sql(spark, 2, ("colorsys",))
    deadline = time.monotonic() + 30
    while not all((after := workers(spark)).values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert after == dict.fromkeys(before, True)  # the same processes: none ended since it left some of its input


@pytest.mark.slow
def test_training_ends_once_patience_does(spark: SparkSession, tmp_path: Path) -> None:
    still = Optimizer(name="SGD", learning_rate=1e-30)  # float32 does not move: no epoch is better than the first
    messages = train(spark, job(tmp_path, 2, 8, epochs=50, patience=3, optimizer=still))
    assert [report.best for report in contents_of(EpochReport, messages)] == [True, False, False, False]
    assert len(contents_of(FeedReceipt, messages)) == 2 * 4
    assert [message.rank for message in messages if isinstance(message.content, Done)].count(0) == 1


@pytest.mark.slow
def test_scalars_for_tensorboard_and_horovods_timeline_are_kept(trained: Trained) -> None:
    accumulator = EventAccumulator(str(trained.board), size_guidance={"tensors": 0}).Reload()
    reports = contents_of(EpochReport, trained.messages)
    for name in ("train_loss", "validation_loss", "validation_auc", "learning_rate", "rows_per_second"):
        events = accumulator.Tensors(name)
        assert [event.step for event in events] == [0, 1]
        values = [float(make_ndarray(event.tensor_proto)) for event in events]
        assert values == pytest.approx([report.row()[name] for report in reports], rel=1e-6)
    shares = [
        float(make_ndarray(accumulator.Tensors(f"rank_{rank}/{what}_share")[1].tensor_proto))
        for rank in (0, 1)
        for what in ("compute", "wait", "feed")
    ]
    assert sum(shares) == pytest.approx(2)
    traced = json.loads(trained.timeline.read_text())
    assert any("ALLREDUCE" in str(event.get("name")) for event in traced)


def test_more_ranks_than_slots_is_refused_at_once_with_the_numbers(spark: SparkSession, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"train\.ranks: 3 ranks need 3 slots at once, the cluster has 2") as caught:
        train(spark, job(tmp_path, 3, 4))
    assert time.monotonic() - started < 5
    assert caught.value.exit_code == 2


def test_a_port_that_is_taken_is_exit_5(spark: SparkSession, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ExternalError, match=r"train\.channel_port"):
        run_ranks(spark, 1, job(tmp_path, 1, 4).model_dump_json(), lambda _: None, port=server.getsockname()[1])


@pytest.mark.slow
def test_a_ranks_own_error_keeps_its_class_and_names_the_rank(spark: SparkSession, tmp_path: Path) -> None:
    training = job(tmp_path, 2, 4)
    (tmp_path / "features.parquet").unlink()
    with pytest.raises(DataError, match=rf"rank \d on {socket.gethostname()}: features file .*can't be read") as caught:
        train(spark, training)
    assert caught.value.exit_code == 3


@pytest.mark.slow
def test_a_wrong_optimizer_is_refused_by_the_ranks_with_exit_2(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rank \d on .*train\.optimizer: Keras cannot make Adamm"):
        train(spark, job(tmp_path, 2, 4, optimizer=Optimizer(name="Adamm")))


@pytest.mark.slow
def test_a_bug_in_a_rank_is_exit_1_with_the_ranks_traceback(spark: SparkSession) -> None:
    with pytest.raises(RingmillError, match=r"(?s)rank \d on .* raised ValidationError: .*Traceback .*rank\.py") as caught:
        run_ranks(spark, 2, "{}", lambda _: None, start_seconds=90)
    assert caught.value.exit_code == 1


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_run_with_its_code(spark: SparkSession, tmp_path: Path) -> None:
    training = job(tmp_path, 2, 1, epochs=100_000)
    pids: dict[int, int] = {}
    killed: list[float] = []

    def listen(message: Message) -> None:
        if isinstance(message.content, Handshake):
            pids[message.rank] = message.content.pid
        if isinstance(message.content, EpochReport) and not killed:
            killed.append(time.monotonic())
            psutil.Process(pids[1]).kill()

    with pytest.raises(RankError, match=rf"(?s)rank 1 on {socket.gethostname()} died: its process ended without .*code 9"):
        run_ranks(spark, 2, training.model_dump_json(), listen, start_seconds=90)
    assert time.monotonic() - killed[0] < 15
