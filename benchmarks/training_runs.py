"""The cases of the benchmark of training, each run in a process or Spark application of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.shards import Work
from benchmarks.torch_environment import torch_environment
from benchmarks.training_data import write_rows

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
SECONDS_AT_MOST = 1800

Run = dict[str, Any]


class CaseFailedError(Exception):
    """Raised when a case ends with an error, takes too long, or did not do what it is measured for."""


@dataclass(frozen=True)
class BenchmarkCase:
    """One measured thing; a case of one rank alone has one core."""

    name: str
    part: str
    program: str = "ours"
    ranks: int = 2
    batch: int = 1024
    workload: str = "mlp"


def _pair(title: str, **how: Any) -> list[BenchmarkCase]:
    return [BenchmarkCase(f"{title}, {ranks} rank{'s'[: ranks - 1]}", "more", ranks=ranks, **how) for ranks in (1, 2)]


CASES = (
    BenchmarkCase("ours, 1 rank", "ours", ranks=1),
    BenchmarkCase("ours, 2 ranks", "ours"),
    BenchmarkCase("ours, 1 rank, batch 4096", "ours", ranks=1, batch=4096),
    BenchmarkCase("ours, 2 ranks, batch 4096", "ours", batch=4096),
    BenchmarkCase("stock Horovod, 2 ranks", "stock", "stock"),
    BenchmarkCase("torch, 2 ranks", "torch", "torch"),
    BenchmarkCase("Keras, 2 threads", "keras", "keras", ranks=1, batch=2048),
    BenchmarkCase("ceiling, 2 cores", "ceiling", "ceiling"),
    BenchmarkCase("first step alone", "start", "bare", ranks=1),
    *_pair("batch 256", batch=256),
    *_pair("10 million", workload="mlp of 10 million"),
    *_pair("GRU", workload="gru"),
    *_pair("CNN", workload="cnn"),
    BenchmarkCase("4 on 2 cores, 1 rank", "more", ranks=1),
    BenchmarkCase("4 on 2 cores, 4 ranks", "more", ranks=4),
    BenchmarkCase("no Spark, TCP", "more", "tcp"),
    BenchmarkCase("no Spark, shared memory", "more", "shared"),
)
PARTS = tuple(dict.fromkeys(case.part for case in CASES))


def run_case(case: BenchmarkCase, folder: Path, rows: int, epochs: int) -> Run:
    """Run a case on so many rows; what it told, and `submitted`: when its process was started, by the machine's clock.

    Raises CaseFailedError, also when it has not learnt.
    """
    files = write_rows(folder, case.workload, rows)
    run_folder = folder / "run"
    shutil.rmtree(run_folder, ignore_errors=True)  # of a case that failed
    run_folder.mkdir()
    out = run_folder / "result.json"
    work = Work(case.name, case.program, case.workload, case.ranks, case.batch, epochs, str(files[0]), str(files[1]), str(out))
    (run_folder / "work.json").write_text(json.dumps(work._asdict()))
    command, environment = _command(case, run_folder)
    submitted = time.monotonic()
    environment = {**os.environ, **environment}
    try:
        done = subprocess.run(command, env=environment, stdout=sys.stderr, timeout=SECONDS_AT_MOST, check=False)
    except subprocess.TimeoutExpired as error:
        raise CaseFailedError(f"{case.name} took more than {SECONDS_AT_MOST} seconds") from error
    if done.returncode or not out.exists():
        raise CaseFailedError(f"{case.name} ended with exit code {done.returncode}")
    result: Run = {**json.loads(out.read_text()), "submitted": submitted}
    shutil.rmtree(run_folder)
    _check(case, result)
    return result


def _command(case: BenchmarkCase, run_folder: Path) -> tuple[list[str], dict[str, str]]:
    """What starts a case, and its environment beyond this one's."""
    work = str(run_folder / "work.json")
    here = Path(sys.executable)
    if case.program in ("bare", "ceiling"):
        return [str(here), str(BENCHMARKS / "training_bounds.py"), work], {}
    if case.program == "keras":
        return [str(here), str(BENCHMARKS / "training_peers.py"), work], {}
    if case.program in ("tcp", "shared"):
        return [str(here), str(BENCHMARKS / "training_host.py"), work], {}
    if case.program == "torch":
        return _of_torch(work)
    script = "training_ours.py" if case.program == "ours" else "training_peers.py"
    flags: list[str] = []
    if case.ranks > 2:
        flags += [f"spark.master=local-cluster[1,{case.ranks},2048]", f"spark.executor.cores={case.ranks}"]
    conf = [part for flag in flags for part in ("--conf", flag)]
    environment = {"PYSPARK_PYTHON": _on_one_core(run_folder)} if case.ranks == 1 else {}
    return [str(here.with_name("spark-submit")), *conf, str(BENCHMARKS / script), work], environment


def _on_one_core(run_folder: Path) -> str:
    """A python that has one core. A lone rank takes all cores that its host lets it have: executors start their Python by this
    one, so the rank has a core and a thread, as each of two has, while Java keeps all cores.
    """
    core = min(os.sched_getaffinity(0))
    python = run_folder / "python"
    python.write_text(f'#!/bin/sh\nexec taskset -c {core} "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return str(python)


def _of_torch(work: str) -> tuple[list[str], dict[str, str]]:
    folder = torch_environment()
    if isinstance(folder, str):
        raise CaseFailedError(folder)
    programs = folder / "bin"
    environment = {name: str(programs / "python") for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")}
    environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return [str(programs / "spark-submit"), str(BENCHMARKS / "torch_peer.py"), work], environment


def _check(case: BenchmarkCase, result: Run) -> None:
    """Nobody measures a broken program: losses fall, and a rank of ours that shall have one core has it."""
    losses = [epoch["loss"] for epoch in result["epochs"]]
    if len(losses) > 1 and case.program != "ceiling" and not losses[-1] < losses[0]:
        raise CaseFailedError(f"{case.name} did not learn: mean losses by epoch {losses}")
    cores = result.get("cores", {}).values()
    if case.ranks <= 2 and any(number != 1 for number in cores):
        raise CaseFailedError(f"{case.name}: ranks had {sorted(cores)} cores, expected one each; has this machine two?")
