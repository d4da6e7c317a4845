"""What the kill loop takes down: processes of a run, and servers, which come up again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.chaos.world import World

KINDS = ("driver", "executor", "rank", "postgresql", "s3")
EXECUTOR, RANK = ".CoarseGrainedExecutorBackend", "pipelines.training.rank"
DRIVER_PARTS = ("Java", "Python", "both")  # of a driver: one of its processes, or all of them
DOWN_SECONDS = (1.0, 20.0)


def processes_of(kind: str, driver: int) -> list[psutil.Process]:
    """The processes of a kind that run now: those beneath this process, which started cluster and driver."""
    name = {"executor": EXECUTOR, "rank": RANK}.get(kind)
    try:
        if name is None:
            return [psutil.Process(driver)]
        beneath = psutil.Process().children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return sorted((each for each in beneath if _is(each, name)), key=lambda each: each.pid)


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return any(part.endswith(name) for part in process.cmdline())
    except psutil.Error:
        return False


def take_down(kind: str, world: World, driver: int, choice: random.Random) -> str:
    """Kill a process, or a server for some seconds; what it was, in words."""
    servers: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "postgresql": (world.postgres.kill, world.postgres.start),
        "s3": (world.gate.close, world.gate.open),
    }
    if kind in servers:
        return _pause(kind, *servers[kind], choice.uniform(*DOWN_SECONDS))
    if kind == "driver":
        return _kill_driver(driver, choice.choice(DRIVER_PARTS))
    with suppress(psutil.NoSuchProcess):
        choice.choice(processes_of(kind, driver)).kill()
    return kind


def _pause(kind: str, down: Callable[[], None], up: Callable[[], None], seconds: float) -> str:
    down()
    try:
        time.sleep(seconds)
    finally:
        up()
    return f"{kind} for {seconds:.1f} s"


def _kill_driver(driver: int, part: str) -> str:
    """SIGKILL: Java alone, Python alone where it runs already, or both with all that they started."""
    java = psutil.Process(driver)
    beneath = java.children(recursive=True)
    python = [each for each in java.children() if "python" in each.name()]
    chosen = {"Java": [java], "Python": python[:1] or [java], "both": [java, *beneath]}[part]
    for process in chosen:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return f"driver ({part})"
