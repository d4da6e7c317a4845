"""One training run by ringmill's ranks on one host without Spark: `python benchmarks/training_host.py WORK`.

The program says how the ranks talk: `shared`, through memory that MPICH shares between the processes of a host, or `tcp`, on
the loopback, as ranks do that executors run, each of which MPICH takes for a host of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.shards import Work
from benchmarks.training_data import training_job
from benchmarks.training_ours import RankRecorder
from pipelines.launch.barrier import HOROVOD, TUNED
from pipelines.launch.channel import LOOPBACK, Channel
from pipelines.launch.environment import Assignment, rank_environment
from pipelines.launch.follower import Follower
from pipelines.launch.hydra import DIE_WITH_PARENT, RANK
from pipelines.launch.stall_detector import StallDetector

STALL_SECONDS, START_SECONDS, SECONDS_TO_LEAVE = 60, 120, 20
OF_A_RANK = ("RINGMILL_RANK", "RINGMILL_LOCAL_RANK", "RINGMILL_JOB")


def main() -> None:
    """Train under an mpiexec that starts the ranks itself."""
    work = Work.read(sys.argv[1])
    job = training_job(work.workload, (Path(work.train), Path(work.validation)), work.ranks, work.batch, work.epochs)
    recorder = RankRecorder()
    command = [str(Path(sys.executable).with_name("mpiexec.hydra")), "-iface", "lo"]
    common = {**TUNED, **HOROVOD, "FI_TCP_IFACE": "lo", "MPIR_CVAR_NOLOCAL": str(int(work.program == "tcp"))}
    with Channel(LOOPBACK, 0) as channel, ExitStack() as stack:
        assignment = Assignment(job.model_dump_json(), STALL_SECONDS, channel.address, channel.key)
        for rank in range(work.ranks):
            environment = stack.enter_context(rank_environment(assignment, rank, rank, work.ranks))
            own = [part for name in OF_A_RANK for part in ("-env", name, environment[name])]
            command += [*([":"] if rank else []), "-n", "1", *own, *RANK]
            common = {**environment, **common}
        called = time.monotonic()
        command = [*DIE_WITH_PARENT, *command]
        process = stack.enter_context(subprocess.Popen(command, env=common, stdin=subprocess.DEVNULL, stdout=sys.stderr))

        def ended() -> str | None:
            code = process.poll()
            return None if code is None else f"mpiexec ended with code {code}"

        try:
            Follower(work.ranks, channel, ended, StallDetector(STALL_SECONDS, START_SECONDS)).follow(recorder, START_SECONDS)
            process.wait(SECONDS_TO_LEAVE)
        finally:
            process.kill()
    more = {"cores": recorder.cores, "shares": recorder.shares(), "first_step": recorder.first_step}
    work.write_result(recorder.epochs, called=called, **more)


if __name__ == "__main__":
    main()
