"""Starts a training run's ranks on the executors, and follows them to their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from pyspark.sql import SparkSession

from pipelines.errors import ConfigError
from pipelines.launch.allocation import slots_problem
from pipelines.launch.barrier import run_proxies, slots, warm_up
from pipelines.launch.channel import LOOPBACK, Channel
from pipelines.launch.environment import Assignment
from pipelines.launch.follower import Follower
from pipelines.launch.hydra import Hydra
from pipelines.launch.interfaces import address_of
from pipelines.launch.stall_detector import StallDetector
from pipelines.launch.stock import run_stock
from pipelines.messages import Message
from pipelines.tunnel import check_tunnel

SECONDS_FOR_SLOTS = 30
SECONDS_TO_LEAVE = 20
SECONDS_TO_WARM = 10
ENCRYPTED = (
    "spark.ssl.enabled",
    "spark.ssl.rpc.enabled",
    "spark.network.crypto.enabled",
    "spark.authenticate.enableSaslEncryption",
)


def run_ranks(
    spark: SparkSession,
    ranks: int,
    job: str,
    listen: Callable[[Message], None],
    *,
    port: int = 0,
    start_seconds: float = 120,
    stall_seconds: int = 60,
    launcher: str = "barrier",
    plain: bool = False,
    encrypted_interface: str | None = None,
) -> None:
    """Run `ranks` ranks, one a slot, each with `job` (JSON), and hand each of their messages to `listen`.

    `launcher` is `barrier` (a barrier stage, MPI) or `horovod_spark` (Horovod's own, Gloo). `plain` allows it on a cluster that
    encrypts its own traffic. `encrypted_interface` names a tunnel by which driver and ranks talk instead. Raises ConfigError
    when there are fewer slots than ranks, the cluster encrypts and neither is set, or a host lacks the tunnel; ExternalError
    when the port is taken, or a host lacks what TensorFlow needs; RankError when a rank dies, stalls or does not start in time;
    the class of the rank's own error when one of ours ended it; and RingmillError with the rank's traceback when a bug did.
    """
    check_launch(spark, ranks, plain=plain, encrypted_interface=encrypted_interface)
    listen_at = _channel_address(spark, port, plain=plain, encrypted_interface=encrypted_interface)
    launch = _barrier if launcher == "barrier" else _stock

    def follow(channel: Channel, ended: Callable[[], str | None]) -> None:
        Follower(ranks, channel, ended, StallDetector(stall_seconds, start_seconds)).follow(listen, start_seconds)

    launch(spark, ranks, Assignment(job, stall_seconds, encrypted_interface=encrypted_interface), listen_at, follow)


@contextmanager
def warming(spark: SparkSession, ranks: int, warm: Callable[[SparkSession, int], None] = warm_up) -> Iterator[None]:
    """Starts the Python workers of a launch, which takes Spark some two seconds, while its caller plans what they are for.

    `warm` starts so many; those of tasks of Spark SQL are started by `warm_up_sql`.
    """

    def try_it() -> None:
        with suppress(Exception):  # whatever is wrong, the launch says so
            warm(spark, ranks)

    if slots(spark) < ranks:  # Spark would ask again for ten minutes
        yield
        return
    thread = threading.Thread(target=try_it, name="warm-up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(SECONDS_TO_WARM)


def check_launch(spark: SparkSession, ranks: int, *, plain: bool, encrypted_interface: str | None = None) -> None:
    """Raise ConfigError when so many ranks can't be launched here at once, or are not allowed to talk in plain; and where the
    driver's host lacks the tunnel by which they are to talk.
    """
    if encrypted_interface:
        check_tunnel(encrypted_interface)
    elif not plain:
        _check_transport(spark)
    _check_slots(spark, ranks)


Follow = Callable[[Channel, Callable[[], str | None]], None]


class _ChannelAddress(NamedTuple):
    """Where the ranks call: the driver's name, its port (0 for any), the address it is opened at; whether plain is allowed."""

    host: str
    port: int
    bind: str
    plain: bool

    def channel(self, proxies_to: int | None = None) -> Channel:
        """Open the channel, whose port is reached at this address."""
        return Channel(self.host, self.port, proxies_to, self.bind)


def _channel_address(spark: SparkSession, port: int, *, plain: bool, encrypted_interface: str | None) -> _ChannelAddress:
    """The driver's address for the ranks: that of the tunnel, else the one that Spark's executors call."""
    conf = spark.sparkContext.getConf()
    if encrypted_interface is None:
        host = conf.get("spark.driver.host") or LOOPBACK
        return _ChannelAddress(host, port, conf.get("spark.driver.bindAddress") or host, plain)
    address = address_of(encrypted_interface)
    if address is None:
        raise ConfigError(
            f"train.encrypted_interface: {encrypted_interface} of the driver's host has no IPv4 address; expected one, "
            f"which each executor's host reaches. Give it one (ip address add)."
        )
    return _ChannelAddress(address, port, address, plain)


def _barrier(spark: SparkSession, ranks: int, assignment: Assignment, listen_at: _ChannelAddress, follow: Follow) -> None:
    """MPICH's mpiexec on the driver, and a barrier stage of its proxies."""
    with Hydra(ranks) as hydra, listen_at.channel(hydra.port) as channel:
        if not (hydra.is_loopback_only or listen_at.plain):
            raise ConfigError(
                "train.allow_plain_transport: mpiexec listens on all addresses of this machine, and its kernel does not let "
                "its port be held to the loopback (pidfd_getfd, Linux 5.6). Expected allow_plain_transport: true, on a network "
                "that is trusted; or train.launcher: horovod_spark."
            )
        connected = replace(assignment, channel=channel.address, key=channel.key, proxies=hydra.proxies)
        with _ProxyJob(spark, lambda: run_proxies(spark, connected)) as stage:

            def ended() -> str | None:
                code, spark_says = hydra.poll(), stage.ended()
                lines = [f"mpiexec ended with code {code}:\n{hydra.output()[-3000:]}"] if code is not None else []
                return "\n".join([*lines, *([spark_says] if spark_says else [])]) or None

            follow(channel, ended)


def _stock(spark: SparkSession, ranks: int, assignment: Assignment, listen_at: _ChannelAddress, follow: Follow) -> None:
    """Horovod's own launcher, which sets signal handlers and so wants the main thread: the ranks are followed on another."""
    ended: list[str] = []
    failed: list[Exception] = []

    def follow_and_keep(channel: Channel) -> None:
        try:
            follow(channel, lambda: ended[0] if ended else None)
        except Exception as error:  # noqa: BLE001 (raised below, on the main thread)
            failed.append(error)
            spark.sparkContext.cancelAllJobs()

    with listen_at.channel() as channel:
        follower = threading.Thread(target=follow_and_keep, args=(channel,), name="follower", daemon=True)
        follower.start()
        try:
            run_stock(ranks, replace(assignment, channel=channel.address, key=channel.key))
            ended.append("Horovod's launcher has ended.")
        except Exception as error:  # noqa: BLE001 (the follower reports it, beside what the ranks report)
            ended.append(f"Horovod's launcher says: {error}")
        follower.join()
    if failed:
        raise failed[0]


class _ProxyJob:
    """Spark's part of a launch, on a thread of its own; cancelled on leaving when it has not ended by then."""

    def __init__(self, spark: SparkSession, work: Callable[[], None]) -> None:
        self._context = spark.sparkContext
        self._work = work
        self._group = f"ringmill-ranks-{id(self)}"
        self._ended: str | None = None
        self._thread = threading.Thread(target=self._run, name="ranks-stage", daemon=True)

    def ended(self) -> str | None:
        """What became of it; None while it runs."""
        return self._ended

    def _run(self) -> None:
        self._context.setJobGroup(self._group, "ringmill: training ranks", interruptOnCancel=True)
        try:
            self._work()
            self._ended = "Spark's tasks have ended."
        except Exception as error:  # noqa: BLE001 (the waiting thread reports it)
            self._ended = f"Spark says: {error}"

    def __enter__(self) -> _ProxyJob:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._thread.join(SECONDS_TO_LEAVE)
        if self._thread.is_alive():
            self._context.cancelJobGroup(self._group)


def _check_transport(spark: SparkSession) -> None:
    conf = spark.sparkContext.getConf()
    encrypted = [name for name in ENCRYPTED if (conf.get(name) or "false").lower() == "true"]
    if encrypted:
        raise ConfigError(
            f"train.allow_plain_transport: the cluster encrypts its traffic ({', '.join(encrypted)}); what ranks send each "
            f"other is neither encrypted nor authenticated. Expected allow_plain_transport: true, on a trusted network; "
            f"or train.encrypted_interface, the interface of a tunnel between the hosts."
        )


def _check_slots(spark: SparkSession, ranks: int) -> None:
    """Wait for executors that still register, then raise ConfigError when their slots are fewer than the ranks."""
    declared = _declared_slots(spark)
    deadline = time.monotonic() + SECONDS_FOR_SLOTS
    while (available := slots(spark)) < ranks and time.monotonic() < deadline and (declared is None or ranks <= declared):
        time.sleep(0.2)
    at_most = available if declared is None or ranks <= declared else max(available, declared)
    if problem := slots_problem(ranks, at_most):
        raise ConfigError(". ".join(problem))


def _declared_slots(spark: SparkSession) -> int | None:
    """Slots that an embedded cluster will have once all its executors have come; None where nobody can say."""
    master = str(spark.sparkContext.master)
    if not master.startswith("local-cluster["):
        return slots(spark) if master.startswith("local") else None
    executors, cores, _ = master[len("local-cluster[") : -1].split(",")
    return int(executors) * int(cores)
