"""Whether Spark's settings let all ranks of a training start together, and each once; plain Python, as the doctor is."""

from __future__ import annotations

import re
from collections.abc import Mapping

DYNAMIC, SPECULATION = "spark.dynamicAllocation.enabled", "spark.speculation"


def allocation_problem(settings: Mapping[str, str], launcher: str, where: str) -> tuple[str, str] | None:
    """What in Spark's settings, which are in `where`, keeps ranks from starting once and together, and how to fix it."""
    is_barrier = launcher == "barrier"
    if is_barrier and _is_on(settings, DYNAMIC):
        return (
            f"{DYNAMIC} is true in {where}: Spark refuses the barrier stage that starts the ranks",
            f"Set it to false, for train, search and pipeline alone with --conf {DYNAMIC}=false.",
        )
    if not is_barrier and _is_on(settings, SPECULATION):
        return (
            f"{SPECULATION} is true in {where}: Spark would start a slow rank a second time",
            "Set it to false, or train.launcher to barrier, whose tasks are never started twice.",
        )
    return None


def slots_problem(ranks: int, slots: int | None, where: str = "") -> tuple[str, str] | None:
    """What is wrong when a cluster has fewer slots than ranks, and how to fix it; None where they suffice or are not known.

    `where` is the file that says how many slots there are.
    """
    if slots is None or ranks <= slots:
        return None
    return (
        f"train.ranks: {ranks} ranks need {ranks} slots at once, the cluster has {slots}{f' by {where}' if where else ''}",
        "Set train.ranks to that at most, or give the cluster more executors or cores: raise spark.executor.instances, "
        "spark.executor.cores or spark.cores.max, or the number in spark.master.",
    )


def shown_slots(ranks: int, slots: int | None) -> str:
    """One line for ranks that have their slots; None means that the settings do not say how many slots there are."""
    return f"{ranks} ranks, {'as many slots as the cluster has' if slots is None else f'{slots} slots'}"


def declared_slots(settings: Mapping[str, str]) -> int | None:
    """How many tasks a cluster runs at once by its settings; None where they do not say."""
    if local := _local(settings):
        return int(local[1] or 1) * int(local[2])
    cores, cpus = settings.get("spark.executor.cores"), int(settings.get("spark.task.cpus", "1"))
    most, count = settings.get("spark.cores.max"), settings.get("spark.executor.instances")
    by_count = int(count) * (int(cores) // cpus) if count and cores else None
    by_cores = int(most) // cpus if most else None
    return min((slots for slots in (by_count, by_cores) if slots is not None), default=None)


def is_local(settings: Mapping[str, str]) -> bool:
    """Whether tasks run on this machine."""
    return settings.get("spark.master", "").startswith("local")


def _local(settings: Mapping[str, str]) -> re.Match[str] | None:
    return re.match(r"local(?:-cluster\[(\d+),|\[)(\d+)", settings.get("spark.master", ""))


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "false").strip().lower() == "true"
