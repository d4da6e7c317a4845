"""The barrier stage: one task a rank, all at once or none; each runs the Hydra proxy that starts its rank."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark import BarrierTaskContext
from pyspark.sql import SparkSession

from pipelines.launch.hydra import DIE_WITH_PARENT, PROXY

HOROVOD = {
    "HOROVOD_CONTROLLER": "mpi",
    "HOROVOD_CPU_OPERATIONS": "mpi",
    "HOROVOD_CYCLE_TIME": "0.1",  # milliseconds
    "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM": "ring",
    "MPIR_CVAR_CH4_NETMOD": "ofi",
    "FI_PROVIDER": "tcp",
}


@dataclass(frozen=True)
class Assignment:
    """What every task of the stage is told; it travels with the task, by Spark's own channel."""

    proxies: tuple[tuple[str, ...], ...]
    job: str
    channel: str
    key: str
    stall_seconds: int


def run_stage(spark: SparkSession, assignment: Assignment) -> None:
    """Run the ranks' proxies on the executors and wait; raises what Spark raises when a task fails."""
    ranks = len(assignment.proxies)
    stage = spark.sparkContext.parallelize(range(ranks), ranks).barrier()
    stage.mapPartitions(lambda _: _run_proxy(assignment)).collect()


def slots(spark: SparkSession) -> int:
    """How many tasks the cluster can run at once now."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def _run_proxy(assignment: Assignment) -> Iterator[int]:
    context = BarrierTaskContext.get()
    rank = context.partitionId()
    hosts = [info.address.rpartition(":")[0] for info in context.getTaskInfos()]
    with tempfile.TemporaryDirectory(prefix="ringmill-rank-") as folder:
        job = Path(folder) / "job.json"
        job.write_text(assignment.job, encoding="utf-8")
        environment = {
            **os.environ,
            **HOROVOD,
            **({"FI_TCP_IFACE": "lo"} if hosts[rank].startswith("127.") else {}),
            "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(assignment.stall_seconds // 2, 1)),
            "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(assignment.stall_seconds),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "RINGMILL_PYTHON": sys.executable,
            "RINGMILL_JOB": str(job),
            "RINGMILL_CHANNEL": assignment.channel,
            "RINGMILL_KEY": assignment.key,
            "RINGMILL_RANK": str(rank),
            "RINGMILL_LOCAL_RANK": str(hosts[:rank].count(hosts[rank])),
            "RINGMILL_LOCAL_RANKS": str(hosts.count(hosts[rank])),
        }
        proxy = str(Path(sys.executable).with_name(PROXY))
        code = subprocess.run([*DIE_WITH_PARENT, proxy, *assignment.proxies[rank]], env=environment, check=False).returncode
    yield code
