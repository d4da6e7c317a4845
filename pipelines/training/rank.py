"""One rank of a training run: `python -m pipelines.training.rank`, started by the launcher inside an executor."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipelines.errors import ExternalError
from pipelines.interruption import end_process
from pipelines.lean import import_keras, uncollected
from pipelines.machine import this_machine
from pipelines.messages import Done, Imported
from pipelines.training.reporter import Reporter
from pipelines.tunnel import check_tunnel


def main() -> int:
    """Run the rank that the environment describes; the exit code is 0 when the whole run succeeded."""
    _pin()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rank = int(os.environ["RINGMILL_RANK"])
    with Reporter(os.environ["RINGMILL_CHANNEL"], os.environ.pop("RINGMILL_KEY"), rank) as reporter:
        started = time.monotonic()
        check_host()
        import_keras()
        with uncollected():
            from pipelines.training.job import TrainingJob
            from pipelines.training.run import run_training

        job = TrainingJob.model_validate_json(Path(os.environ["RINGMILL_JOB"]).read_text(encoding="utf-8"))
        reporter.send(Imported(seconds=time.monotonic() - started))
        run_training(job, reporter)
        reporter.send(Done())
    return 0


def check_host() -> None:
    """Raise ExternalError where this host lacks what TensorFlow needs, and ConfigError where it lacks the ranks' tunnel.

    Importing TensorFlow ends the process without an error that could be reported, where the processor has no AVX.
    """
    if problem := this_machine().problem():
        raise ExternalError(f"{problem[0]}. {problem[1]}")
    if interface := os.environ.get("RINGMILL_ENCRYPTED_INTERFACE"):
        check_tunnel(interface)


def _pin() -> None:
    """Keep this rank to its share of the host's cores, which the launcher counted; without a share, leave it free."""
    local_rank, ranks_here = int(os.environ["RINGMILL_LOCAL_RANK"]), int(os.environ["RINGMILL_LOCAL_RANKS"])
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // ranks_here
    if share:
        os.sched_setaffinity(0, cores[local_rank * share : (local_rank + 1) * share])
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(max(share, 1))


if __name__ == "__main__":
    # To tear down TensorFlow's modules takes half a second, for which the launch would wait.
    end_process(main())
