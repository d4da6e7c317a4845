"""Horovod's own launcher, `horovod.spark.run` on Gloo: for comparison, and for clusters that allow no barrier stage."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from pipelines.launch.environment import Assignment, rank_environment


def run_stock(ranks: int, assignment: Assignment) -> None:
    """Run the ranks on the executors and wait; raises what Horovod raises when one fails."""
    import horovod.spark

    leave_signals_alone()
    horovod.spark.run(
        _run_rank,
        args=(assignment,),
        num_proc=ranks,
        use_gloo=True,
        env=dict(os.environ),
        stdout=sys.stderr,
        stderr=sys.stderr,
        verbose=0,
    )


def leave_signals_alone() -> None:
    """Keep the driver's own handlers of signals: Horovod would set some that only end its ranks, and never restore these."""
    from horovod.runner import gloo_run

    gloo_run.register_shutdown_event = threading.Event


def _run_rank(assignment: Assignment) -> int:
    rank, local_rank, ranks_here = (int(os.environ[f"HOROVOD_{name}"]) for name in ("RANK", "LOCAL_RANK", "LOCAL_SIZE"))
    with rank_environment(assignment, rank, local_rank, ranks_here) as environment:
        return subprocess.run(
            [sys.executable, "-m", "pipelines.training.rank"],
            env={**environment, "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_CYCLE_TIME": "0.1"},
            check=True,
        ).returncode
