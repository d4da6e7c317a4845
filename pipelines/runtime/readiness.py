"""The light form of the doctor, with which every job that trains begins: what would end it later, and is known at once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pipelines.config import TrainConfig
from pipelines.errors import ConfigError, ExternalError, RingmillError
from pipelines.launch.allocation import allocation_problem, declared_slots, is_local, shown_slots, slots_problem
from pipelines.launch.check_result import CheckResult
from pipelines.launch.hydra import DIE_WITH_PARENT, PROXY
from pipelines.machine import this_machine

Settings = Mapping[str, str]


def check_readiness(train: TrainConfig, settings: Settings) -> None:
    """Raise ConfigError or ExternalError where this machine or Spark's settings can't do the work of a job that trains."""
    for check in CHECKS.values():
        check(train, settings)


def light_checks(train: TrainConfig, settings: Settings) -> list[CheckResult]:
    """What each check saw; one that failed does not keep the others from looking."""
    return [check_result(name, partial(check, train, settings)) for name, check in CHECKS.items()]


def check_result(name: str, check: Callable[[], str]) -> CheckResult:
    """What a check saw: what it returns, or the error that it raises, whose first sentence is what it saw."""
    try:
        return CheckResult(name, ok=True, saw=check())
    except RingmillError as error:
        saw, _, fix = str(error).partition(". ")
        return CheckResult(name, ok=False, saw=saw, fix=fix)


def check_allocation(train: TrainConfig, settings: Settings) -> str:
    """Raise ConfigError where Spark's settings keep ranks from starting together and once."""
    if problem := allocation_problem(settings, train.launcher, "Spark's settings"):
        raise ConfigError(". ".join(problem))
    return "no dynamic allocation, no rank is started twice"


def check_slots(train: TrainConfig, settings: Settings) -> str:
    """Raise ConfigError where Spark's settings give fewer slots than ranks, where they say how many."""
    declared = declared_slots(settings)
    if problem := slots_problem(train.ranks, declared):
        raise ConfigError(". ".join(problem))
    return shown_slots(train.ranks, declared)


def check_tools(train: TrainConfig, _: Settings) -> str:
    """Raise ExternalError where the driver's host lacks what launches ranks."""
    programs = [Path(sys.executable).with_name(name) for name in ("mpiexec.hydra", PROXY)]
    missing = [path.name for path in programs if not path.exists()] if train.launcher == "barrier" else []
    if missing:
        raise ExternalError(
            f"no {' and no '.join(missing)} beside {sys.executable}. The mpich wheel brings them: run `make setup`."
        )
    if not shutil.which(DIE_WITH_PARENT[0]):
        raise ExternalError(f"no {DIE_WITH_PARENT[0]}, by which ranks end with their executor. Install util-linux.")
    return ", ".join([*(path.name for path in programs), DIE_WITH_PARENT[0]])


def check_host(_: TrainConfig, settings: Settings) -> str:
    """Raise ExternalError where ranks run on this machine, and its processor or C library is not what TensorFlow needs."""
    machine = this_machine()
    if is_local(settings) and (problem := machine.problem()):
        raise ExternalError(". ".join(problem))
    return str(machine)


# By the names that the doctor gives them too.
CHECKS: dict[str, Callable[[TrainConfig, Settings], str]] = {
    "executors": check_allocation,
    "slots": check_slots,
    "process tools": check_tools,
    "processor": check_host,
}
