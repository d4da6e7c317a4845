"""MPICH's process manager with its manual launcher: it names one proxy command a rank, and waits for them to call."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from pipelines.errors import ExternalError

LINE, END = "HYDRA_LAUNCH: ", "HYDRA_LAUNCH_END"
PROXY = "hydra_pmi_proxy"
# The executor's own python runs the rank, found through the executor's environment: paths may differ from the driver's.
# setpriv (util-linux) has the kernel kill a process when the one that started it dies: nothing outlives its executor or driver.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
RANK = ("/bin/sh", "-c", f'exec {shlex.join(DIE_WITH_PARENT)} "$RINGMILL_PYTHON" -m pipelines.training.rank')


class Hydra:
    """One mpiexec on the driver, and the commands that its ranks' hosts have to run."""

    def __init__(self, ranks: int, host: str) -> None:
        mpiexec = Path(sys.executable).with_name("mpiexec.hydra")
        if not mpiexec.exists():
            raise ExternalError(f"no {mpiexec}; the mpich wheel brings it. Run `make setup`.")
        names = ",".join(f"slot{rank}:1" for rank in range(ranks))
        interface = ["-iface", "lo"] if host.startswith("127.") else ["-localhost", host]
        command = [
            str(mpiexec),
            "-launcher",
            "manual",
            *interface,
            "-genvnone",
            "-hosts",
            names,
            "-n",
            str(ranks),
            *RANK,
        ]
        # mpiexec hands its whole environment to whoever calls its port, so it has next to none.
        self._process = subprocess.Popen(
            [*DIE_WITH_PARENT, *command],
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.proxies = self._read_proxies()
        self.output: list[str] = []

    def _read_proxies(self) -> tuple[tuple[str, ...], ...]:
        """The arguments of each rank's proxy, without the program: its place is the executor's to know."""
        assert self._process.stdout is not None
        found: list[tuple[str, ...]] = []
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if line.startswith(LINE):
                found.append(tuple(shlex.split(line[len(LINE) :])[1:]))
            if line.startswith(END):
                return tuple(found)
        raise ExternalError(f"mpiexec ended before it named its proxies: {''.join(said)[-2000:]}")

    def poll(self) -> int | None:
        """The exit code, None while the ranks run."""
        return self._process.poll()

    def rest_of_output(self) -> str:
        """What mpiexec and the ranks printed, once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def __enter__(self) -> Hydra:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()  # it sits out SIGTERM while a proxy has not called
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
