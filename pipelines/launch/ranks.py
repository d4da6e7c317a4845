"""Starts a training run's ranks on the executors, listens to them, and turns what goes wrong into one clear error."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from pyspark.sql import SparkSession

from pipelines.errors import ConfigError, DataError, ExternalError, QualityError, RankError, RingmillError
from pipelines.launch.barrier import Assignment, run_stage, slots
from pipelines.launch.channel import Channel, Message
from pipelines.launch.hydra import Hydra

SECONDS_FOR_SLOTS = 30
SECONDS_FOR_LAST_WORDS = 3
SECONDS_TO_LEAVE = 20
ECHO = "Horovod has been shut down"


def run_ranks(
    spark: SparkSession,
    ranks: int,
    job: str,
    listen: Callable[[Message], None],
    *,
    port: int = 0,
    start_seconds: float = 120,
    stall_seconds: int = 60,
) -> None:
    """Run `ranks` ranks, one a slot, each with `job` (JSON), and hand each of their messages to `listen`.

    Raises ConfigError when there are fewer slots than ranks, ExternalError when the port is taken, RankError when a rank
    dies, stalls or does not start in time, the class of the rank's own error when one of ours ended it, and RingmillError
    with the rank's traceback when a bug did.
    """
    _check_slots(spark, ranks)
    host = spark.sparkContext.getConf().get("spark.driver.host", "127.0.0.1")
    assert host is not None
    group = f"ringmill-ranks-{id(listen)}"
    with Channel(host, port) as channel, Hydra(ranks, host) as hydra:
        assignment = Assignment(hydra.proxies, job, channel.address, channel.key, stall_seconds)
        failures: queue.Queue[Exception | None] = queue.Queue()
        stage = threading.Thread(target=_run_in_group, args=(spark, group, assignment, failures), daemon=True)
        stage.start()
        try:
            _follow(ranks, channel, hydra, failures, listen, start_seconds)
            stage.join(SECONDS_TO_LEAVE)
        finally:
            if stage.is_alive():
                spark.sparkContext.cancelJobGroup(group)


def _check_slots(spark: SparkSession, ranks: int) -> None:
    """Wait for executors that still register, then raise ConfigError when their slots are fewer than the ranks."""
    declared = _declared_slots(spark)
    deadline = time.monotonic() + SECONDS_FOR_SLOTS
    while (found := slots(spark)) < ranks and time.monotonic() < deadline and (declared is None or ranks <= declared):
        time.sleep(0.2)
    if found < ranks:
        raise ConfigError(
            f"train.ranks: {ranks} ranks need {ranks} slots at once, the cluster has {declared or found}. "
            f"Set train.ranks to that at most, or give the cluster more executors or cores."
        )


def _declared_slots(spark: SparkSession) -> int | None:
    """Slots that an embedded cluster will have once all its executors have come; None where nobody can say."""
    master = str(spark.sparkContext.master)
    if not master.startswith("local-cluster["):
        return slots(spark) if master.startswith("local") else None
    executors, cores, _ = master[len("local-cluster[") : -1].split(",")
    return int(executors) * int(cores)


def _run_in_group(spark: SparkSession, group: str, assignment: Assignment, failures: queue.Queue[Exception | None]) -> None:
    spark.sparkContext.setJobGroup(group, "ringmill: training ranks", interruptOnCancel=True)
    try:
        run_stage(spark, assignment)
        failures.put(None)
    except Exception as error:  # noqa: BLE001 (handed to the thread that waits, which raises it)
        failures.put(error)


def _follow(
    ranks: int,
    channel: Channel,
    hydra: Hydra,
    failures: queue.Queue[Exception | None],
    listen: Callable[[Message], None],
    start_seconds: float,
) -> None:
    """Hear the ranks out until all are done, or raise what went wrong."""
    ready: set[int] = set()
    done: set[int] = set()
    deadline = time.monotonic() + start_seconds
    while len(done) < ranks:
        message = _next(channel)
        if message is None:
            if hydra.poll() is not None or not failures.empty():
                raise _cause(channel, hydra, failures, done)
            if len(ready) < ranks and time.monotonic() > deadline:
                missing = sorted(set(range(ranks)) - ready)
                raise RankError(f"ranks {missing} of {ranks} were not ready after {start_seconds:.0f} seconds.")
            continue
        if message["kind"] == "error":
            raise _cause(channel, hydra, failures, done, message)
        if message["kind"] == "ready":
            ready.add(message["rank"])
        if message["kind"] == "done":
            done.add(message["rank"])
        listen(message)


def _next(channel: Channel, seconds: float = 0.2) -> Message | None:
    try:
        return channel.messages.get(timeout=seconds)
    except queue.Empty:
        return None


def _cause(
    channel: Channel,
    hydra: Hydra,
    failures: queue.Queue[Exception | None],
    done: set[int],
    first: Message | None = None,
) -> RingmillError:
    """The error behind a failure: a rank's own words before an echo of them, then what Hydra saw, then what Spark saw."""
    errors = [first] if first else []
    deadline = time.monotonic() + SECONDS_FOR_LAST_WORDS
    while time.monotonic() < deadline and not any(ECHO not in error["message"] for error in errors):
        message = _next(channel)
        if message and message["kind"] == "error":
            errors.append(message)
        if message is None and hydra.poll() is not None and not first:
            break
    own = [error for error in errors if ECHO not in error["message"]]
    if own:
        return _rank_error(own[0])
    if hydra.poll() is not None and hydra.poll() != 0:
        return RankError(f"a rank died (mpiexec ended with code {hydra.poll()}):\n{hydra.output()[-3000:]}")
    if not failures.empty() and (failure := failures.get()) is not None:
        return RankError(f"the ranks' barrier stage failed: {failure}")
    if errors:
        return _rank_error(errors[0])
    return RankError(f"the ranks ended before they were done; only {sorted(done)} were.")


def _rank_error(message: Message) -> RingmillError:
    kinds = {kind.exit_code: kind for kind in (ConfigError, DataError, QualityError, ExternalError)}
    where = f"rank {message['rank']} on {message['host']}"
    if message["exit_code"] in kinds:
        return kinds[message["exit_code"]](f"{where}: {message['message']}")
    told = f"{where} raised {message['type']}: {message['message']}\n{message['traceback']}"
    # Horovod's own error is a peer that is gone or stalls; any other that is not ours is a bug.
    return RankError(told) if message["type"] == "HorovodInternalError" else RingmillError(told)
