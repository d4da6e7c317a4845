"""What is left of runs that have ended: processes, files for temporary use, parts of uploads, claims, connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from pyarrow import fs

from tests.chaos.world import WAREHOUSE, World
from tests.processes import NAMES, running

SECONDS = 120.0  # of a busy machine; where nothing is left nobody waits for them
WORKERS_OWN = "spark-"  # how a cluster's worker names its folder for those of applications
DRIVER = "org.apache.spark.deploy.SparkSubmit"


def leftovers(world: World, before: set[psutil.Process], ended: float) -> list[str]:
    """Everything that is still there after some seconds, in words. `ended` is when the last run was struck, in seconds since
    1970: what is younger in /tmp may be that of others.
    """
    remains = _settled(lambda: processes(world.folder, before))
    remains += _settled(lambda: [f"temporary: {path}" for path in _temporary(world)])
    remains += _settled(lambda: [f"PostgreSQL: {line}" for line in _connections(world)])
    remains += [f"warehouse: {path}" for path in _files(world) if _is_left(path)]
    return remains + _settled(lambda: [f"temporary: {path}" for path in _older(Path("/tmp").glob("hydra_hwloc_*"), ended)])


def processes(folder: Path, before: set[psutil.Process]) -> list[str]:
    """Drivers, executors, ranks and launchers that the loop in a folder has started since, in words."""
    return [line for each in running((*NAMES, DRIVER)) - before for line in _of_loop(each, str(folder))]


def _of_loop(process: psutil.Process, folder: str) -> list[str]:
    """A process in words, if it is of the loop: by its environment, or that of who started it. mpiexec has next to none of its
    own, and may be of any loop once who started it is gone.
    """
    try:
        line = (process, *process.parents())
        is_orphan = process.ppid() == 1 and process.environ().keys() <= {"PATH"}
        is_ours = is_orphan or any(folder in value for each in line for value in each.environ().values())
        return [f"process {process.pid}: {' '.join(process.cmdline())[:120]}"] if is_ours else []
    except psutil.Error:  # it has ended, or is somebody else's
        return []


def _settled(look: Callable[[], list[str]]) -> list[str]:
    """What a look finds until it finds nothing, or some seconds have passed."""
    deadline = time.monotonic() + SECONDS
    while (remains := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return remains


def _temporary(world: World) -> list[Path]:
    """Files for temporary use. A worker of the cluster has a folder while it runs; nothing may be left in it."""
    workers = set(world.cluster_temporary.glob(f"{WORKERS_OWN}*"))
    folders = (world.driver_temporary, world.cluster_temporary, *sorted(workers))
    return [path for folder in folders for path in sorted(folder.iterdir()) if path not in workers]


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
    """Whether a file of the warehouse is a part of one, was made for a run that is over, or claims checkpoints."""
    return any(part in path for part in (".partial", "/_spool/", "/examples/")) or path.endswith("/job.json")


def _older(paths: Iterable[Path], moment: float) -> Iterator[Path]:
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment:
                yield path
