"""The barrier stage: one task a rank, all at once or none; each runs the Hydra proxy that starts its rank."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import BarrierTaskContext

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

from pipelines.launch.environment import Assignment, rank_environment
from pipelines.launch.hydra import DIE_WITH_PARENT, PROXY
from pipelines.launch.interfaces import interface_of
from pipelines.workers import forget_archives

HOROVOD = {"HOROVOD_CONTROLLER": "mpi", "HOROVOD_CPU_OPERATIONS": "mpi"}
# What an executor's own environment (spark.executorEnv) may say otherwise, for a faster network than Ethernet.
TUNED = {
    "HOROVOD_CYCLE_TIME": "0.1",  # milliseconds
    "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM": "ring",
    "MPIR_CVAR_CH4_NETMOD": "ofi",
    "FI_PROVIDER": "tcp",
}
SECONDS_TO_CONNECT = 30
HUNG_UP = "assert (!closed) failed"  # what a proxy says once mpiexec is gone


def run_proxies(spark: SparkSession, assignment: Assignment) -> None:
    """Run the ranks' proxies on the executors and wait; raises what Spark raises when a task fails."""
    ranks = len(assignment.proxies)
    stage = spark.sparkContext.parallelize(range(ranks), ranks).barrier()
    stage.mapPartitions(lambda _: _run_proxy(assignment)).collect()


def warm_up(spark: SparkSession, ranks: int) -> None:
    """Start the Python workers that a launch of so many ranks will want, and wait; raises what Spark raises."""
    spark.sparkContext.parallelize(range(ranks), ranks).barrier().mapPartitions(_nothing).collect()


def warm_up_sql(spark: SparkSession, tasks: int, modules: Sequence[str]) -> None:
    """Start the Python workers that so many tasks of Spark SQL will want, and wait; raises what Spark raises.

    Spark keeps them apart from those of a launch. Each goes on to import `modules` while it has no task.
    """
    numbers = spark.range(0, tasks, 1, tasks)
    numbers.mapInArrow(partial(_begin_imports, modules), "id long", barrier=True).collect()


def slots(spark: SparkSession) -> int:
    """How many tasks the cluster can run at once now."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _nothing(numbers: Iterable[int]) -> Iterator[int]:
    forget_archives()
    _exhaust(numbers)
    return iter(())


def _begin_imports(modules: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    forget_archives()
    _exhaust(batches)
    Thread(target=_import, args=(modules,), name="imports", daemon=True).start()
    return iter(())


def _exhaust(given: Iterable[object]) -> None:
    """Take all that a task is given: a Python worker that leaves some of it ends, and the next task waits for another."""
    for _ in given:
        pass


def _import(modules: Sequence[str]) -> None:
    with suppress(Exception):  # whatever is wrong, the task that imports them says so
        for module in modules:
            import_module(module)


def _run_proxy(assignment: Assignment) -> Iterator[int]:
    forget_archives()
    context = BarrierTaskContext.get()
    rank = context.partitionId()
    hosts = [info.address.rpartition(":")[0] for info in context.getTaskInfos()]
    local_rank, ranks_here = hosts[:rank].count(hosts[rank]), hosts.count(hosts[rank])
    gpus = context.resources().get("gpu")
    bound, held = interface_variables(assignment, hosts[rank])
    proxy = str(Path(sys.executable).with_name(PROXY))
    gpu = gpus.addresses[0] if gpus else None
    with rank_environment(assignment, rank, local_rank, ranks_here, gpu) as environment, _line_to_driver(assignment) as line:
        done = subprocess.run(
            [*DIE_WITH_PARENT, proxy, *assignment.proxies[rank]],
            env={**TUNED, **bound, **environment, **HOROVOD, **held, "HYDI_CONTROL_FD": str(line.fileno())},
            pass_fds=[line.fileno()],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if HUNG_UP not in done.stderr:  # what the driver did on purpose
            sys.stderr.write(done.stderr)
        yield done.returncode


def interface_variables(assignment: Assignment, host: str) -> tuple[dict[str, str], dict[str, str]]:
    """The variables that name a rank's interface: those that an executor's own environment may change, and those it may not."""
    if assignment.encrypted_interface:
        return {}, {"FI_TCP_IFACE": assignment.encrypted_interface}
    interface = interface_of(host)
    return ({"FI_TCP_IFACE": interface} if interface else {}), {}


def _line_to_driver(assignment: Assignment) -> socket.socket:
    """A connection to mpiexec through the driver's channel, on which the proxy goes on: it listens nowhere, calls nobody."""
    host, _, port = assignment.channel.rpartition(":")
    line = socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT)
    line.sendall(json.dumps({"key": assignment.key, "kind": "proxy"}).encode() + b"\n")
    line.settimeout(None)
    return line
