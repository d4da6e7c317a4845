"""A MariaDB server for tests: Debian's programs, on a free port, in a temporary folder that is removed at the end.

setup/system.sh installs the programs. Root's server belongs to `nobody`, as PostgreSQL's does.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from setup.postgres import as_owner, free_port

START_SECONDS = 120
SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-buffer-pool-size": "8M",
    "innodb-log-file-size": "4M",
    "innodb-flush-method": "nosync",  # nothing here has to survive a crash
    "sync-frm": "0",
    "performance-schema": "OFF",
    "default-time-zone": "-05:00",  # not the zone of a machine that runs in UTC
    "skip-name-resolve": "ON",
}


@dataclass(frozen=True)
class MariaDbServer:
    """A running server: its address, and the user that may do everything there."""

    port: int
    user: str = "ringmill"
    database: str = "ringmill"
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The address as JDBC writes it."""
        return f"jdbc:mariadb://127.0.0.1:{self.port}/{self.database}"

    def execute(self, sql: str) -> str:
        """Run SQL statements and return their rows, fields separated by tabs; raises RuntimeError with the server's words."""
        address = ["--protocol=tcp", "--host=127.0.0.1", f"--port={self.port}", f"--user={self.user}"]
        form = ["--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--raw"]
        command = ["mariadb", "--no-defaults", *address, *form, self.database]
        environment = {**os.environ, "MYSQL_PWD": self.password}
        done = subprocess.run(command, input=sql, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mariadb: {done.stderr.strip()}")
        return done.stdout.strip()


def installed() -> bool:
    """Whether this machine has the server and its client."""
    return None not in (_program("mariadbd"), _program("mariadb-install-db"), _program("mariadb"))


@contextmanager
def mariadb_server() -> Iterator[MariaDbServer]:
    """Start a server with an empty database; stop it, and remove all that it has written, at the end.

    Raises RuntimeError with the server's log when it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="ringmill-mariadb-"))
    try:
        _create(folder)
        server = MariaDbServer(free_port(), password=secrets.token_hex(12))
        process = _start(server, folder)
        try:
            _wait(server, process, folder)
            yield server
        finally:
            process.send_signal(signal.SIGKILL)  # it would write pages that are removed with the folder
            process.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


def _flags(folder: Path) -> list[str]:
    settings = {**SETTINGS, "datadir": str(folder / "data"), "tmpdir": str(folder / "data")}
    return ["--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]


def _create(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)
    if not os.geteuid():
        folder.chmod(0o755)
        shutil.chown(data, "nobody")
    program = _program("mariadb-install-db") or "mariadb-install-db"
    command = [*as_owner("KILL"), program, *_flags(folder), "--auth-root-authentication-method=normal", "--skip-test-db"]
    done = subprocess.run(command, cwd=data, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mariadb-install-db failed: {done.stdout.strip()} {done.stderr.strip()}")


def _start(server: MariaDbServer, folder: Path) -> subprocess.Popen[bytes]:
    first = folder / "first.sql"
    first.write_text(  # a statement a line
        f"CREATE DATABASE {server.database};\n"
        f"CREATE USER {server.user}@'127.0.0.1' IDENTIFIED BY '{server.password}';\n"
        f"GRANT ALL ON *.* TO {server.user}@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    first.chmod(0o600)
    if not os.geteuid():
        shutil.chown(first, "nobody")
    own = [f"--port={server.port}", f"--socket={folder / 'data' / 'socket'}", f"--init-file={first}"]
    with (folder / "log").open("wb") as log:
        command = [*as_owner("KILL"), _program("mariadbd") or "mariadbd", *_flags(folder), *own]
        return subprocess.Popen(command, cwd=folder / "data", stdout=log, stderr=log)


def _wait(server: MariaDbServer, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
        except RuntimeError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start: {error}\n{(folder / 'log').read_text()[:5000]}") from error
            time.sleep(0.05)
        else:
            return
