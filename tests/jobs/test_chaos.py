"""The kill loop for one round, and what it is made of. `make chaos` runs it for half an hour."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos
from tests.chaos.attempts import last_error, step_of
from tests.chaos.servers import Gate
from tests.chaos.tables import compared_rows

# In one run an executor is killed as it cleans, and then a rank as it starts or trains.
MINUTES, STRIKES, ROUNDS, SEED = 2, 2, 1, 1339


def test_a_closed_gate_breaks_connections_and_an_open_one_forwards_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gate = Gate(server.getsockname()[1])
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        gate.open()
        with socket.create_connection(("127.0.0.1", gate.port)) as client:
            client.sendall(b"one")
            assert client.recv(10) == b"one"
            gate.close()
            assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gate.port))
        gate.open()
        with socket.create_connection(("127.0.0.1", gate.port)) as client:
            client.sendall(b"two")
            assert client.recv(10) == b"two"
        gate.close()


def echo(server: socket.socket) -> None:
    """Send back what comes, connection by connection, until the server is closed."""
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                while block := connection.recv(100):
                    connection.sendall(block)


def test_a_runs_log_says_which_step_it_is_at_and_why_it_ended(tmp_path: Path) -> None:
    lines = [
        "12:00:00 WARN Java: no JSON",
        json.dumps({"level": "info", "step": "ingest", "message": "ingest:   5.0 s  flights 4,210"}),
        json.dumps({"level": "info", "step": "clean", "message": "flights: 3 duplicates"}),
        json.dumps({"level": "error", "step": "clean", "message": "pipeline failed: the catalog's server did not answer"}),
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    assert step_of(log) == "clean"
    assert last_error(log) == "pipeline failed: the catalog's server did not answer"


def test_rows_are_compared_as_often_as_they_are_there() -> None:
    assert compared_rows("aaabd", "acd") == (5, 3, 1)
    assert compared_rows("", "") == (0, 0, 0)


@pytest.mark.slow
def test_kills_leave_an_undisturbed_runs_tables_and_nothing_else(tmp_path: Path) -> None:
    assert chaos(tmp_path / "chaos", MINUTES, SEED, STRIKES, ROUNDS) == []
