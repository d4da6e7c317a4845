"""What is left of runs that have ended: processes, files for temporary use, parts of uploads, claims, connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pyarrow import fs

from tests.chaos.world import WAREHOUSE, World
from tests.processes import NAMES, left_since

SECONDS = 20.0
DRIVER = "org.apache.spark.deploy.SparkSubmit"


def leftovers(world: World, before: set[psutil.Process]) -> list[str]:
    """Everything that is still there after some seconds, in words."""
    processes = left_since(before, (*NAMES, DRIVER), SECONDS)
    found = [f"process {each.pid}: {' '.join(each.cmdline())[:120]}" for each in processes if each.is_running()]
    found += _settled(lambda: [f"temporary: {path}" for folder in world.temporary for path in sorted(folder.iterdir())])
    found += _settled(lambda: [f"PostgreSQL: {line}" for line in _connections(world)])
    found += [f"warehouse: {path}" for path in _files(world) if _is_left(path)]
    hydra = set(Path("/tmp").glob("hydra_hwloc_xmlfile_*"))
    return found + [f"temporary: {path}" for path in _stays(hydra)]


def _settled(look: Callable[[], list[str]]) -> list[str]:
    """What a look finds until it finds nothing, or some seconds have passed."""
    deadline = time.monotonic() + SECONDS
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _connections(world: World) -> list[str]:
    """Connections to the database, but for that which asks."""
    said = world.postgres.server.execute(
        "select application_name, state, left(query, 60) from pg_stat_activity "
        "where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    return said.splitlines()


def _files(world: World) -> list[str]:
    infos = world.objects.get_file_info(fs.FileSelector(WAREHOUSE, recursive=True))
    return [info.path for info in infos if info.type == fs.FileType.File]


def _is_left(path: str) -> bool:
    """Whether a file of the warehouse is a part of one, was fetched for a run that is over, or claims checkpoints."""
    return ".partial" in path or "/_spool/" in path or path.endswith("/job.json")


def _stays(paths: set[Path]) -> set[Path]:
    deadline = time.monotonic() + SECONDS
    while (paths := {path for path in paths if path.exists()}) and time.monotonic() < deadline:
        time.sleep(0.5)
    return paths
