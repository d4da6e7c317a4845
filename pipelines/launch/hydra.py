"""MPICH's process manager with its manual launcher: it names one proxy command a rank, and waits for them to call."""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType

from pipelines.errors import ExternalError
from pipelines.launch.loopback import hold_to_loopback

LINE, END = "HYDRA_LAUNCH: ", "HYDRA_LAUNCH_END"
PROXY = "hydra_pmi_proxy"
LINES_KEPT = 200
# The executor's own python runs the rank, found through the executor's environment: paths may differ from the driver's.
# setpriv (util-linux) has the kernel kill a process when the one that started it dies: nothing outlives its executor or driver.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
RANK: tuple[str, ...] = (
    "/bin/sh",
    "-c",
    f'cd "$RINGMILL_FOLDER" && exec {shlex.join(DIE_WITH_PARENT)} "$RINGMILL_PYTHON" -m pipelines.training.rank',
)


class Hydra:
    """One mpiexec on the driver, and the commands that its ranks' hosts have to run.

    `held` says whether its port could be held to the loopback, on which the proxies' lines reach it.
    """

    def __init__(self, ranks: int) -> None:
        mpiexec = Path(sys.executable).with_name("mpiexec.hydra")
        if not mpiexec.exists():
            raise ExternalError(f"no {mpiexec}; the mpich wheel brings it. Run `make setup`.")
        names = ",".join(f"slot{rank}:1" for rank in range(ranks))
        command = [
            str(mpiexec),
            "-launcher",
            "manual",
            "-iface",
            "lo",
            "-wdir",
            "/",  # the proxy's: the driver's own may not be there
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
        self.is_loopback_only = hold_to_loopback(self._process.pid, self.port)
        self._output: deque[str] = deque(maxlen=LINES_KEPT)
        # A pipe that nobody reads fills up, and stops every rank that prints.
        self._drain = threading.Thread(target=self._keep_output, name="hydra-output", daemon=True)
        self._drain.start()

    def _read_proxies(self) -> tuple[tuple[str, ...], ...]:
        """The arguments of each rank's proxy, without the program: its place is the executor's to know."""
        assert self._process.stdout is not None
        proxies: list[tuple[str, ...]] = []
        lines: list[str] = []
        for line in self._process.stdout:
            lines.append(line)
            if line.startswith(LINE):
                proxies.append(tuple(shlex.split(line[len(LINE) :])[1:]))
            if line.startswith(END):
                return tuple(proxies)
        raise ExternalError(f"mpiexec ended before it named its proxies: {''.join(lines)[-2000:]}")

    @property
    def port(self) -> int:
        """The port of the loopback on which mpiexec waits for its proxies."""
        arguments = self.proxies[0]
        return int(arguments[arguments.index("--control-port") + 1].rpartition(":")[2])

    def poll(self) -> int | None:
        """The exit code, None while the ranks run."""
        return self._process.poll()

    def output(self) -> str:
        """The last lines that mpiexec and the ranks printed; whole once mpiexec has ended."""
        if self.poll() is not None:
            self._drain.join(timeout=5)
        return "".join(self._output)

    def _keep_output(self) -> None:
        assert self._process.stdout is not None
        self._output.extend(self._process.stdout)

    def __enter__(self) -> Hydra:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()  # it sits out SIGTERM while a proxy has not called
        self._process.wait()
        self._drain.join(timeout=5)
        if self._process.stdout:
            self._process.stdout.close()
