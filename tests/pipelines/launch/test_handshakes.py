"""Strangers at the ranks' channel: thousands of them, port scans and slow callers hurt no rank, and none is let in."""

from __future__ import annotations

import errno
import json
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from pipelines.launch import handshakes
from pipelines.launch.channel import Channel
from pipelines.launch.interfaces import interface_of
from pipelines.messages import Handshake, Imported, Message
from pipelines.training.reporter import Reporter

HOST = "127.0.0.1"
GARBAGE = (
    b"",
    b"\0" * 3000,
    b"\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)),
    b"[" * 4000 + b"\n",
    b"x" * 5000,
    b'{"key": "guess", "rank": 0, "host": "h"}\n',
    b'{"key": null, "rank": 0}\n',
    b'{"key": "\xff\xfe"}\n',
    b'{"kind": "proxy"}\n',
    b"null\n",
)


def port_of(channel: Channel) -> int:
    """The channel's port."""
    return int(channel.address.rpartition(":")[2])


def call(port: int, content: bytes = b"", *, reset: bool = False) -> socket.socket:
    """Connect and send what there is; `reset` hangs up the way a port scanner does."""
    caller = socket.create_connection((HOST, port), timeout=10)
    with suppress(OSError):  # hung up on already
        caller.sendall(content)
    if reset:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return caller


def descriptors() -> int:
    """Descriptors that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def comes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether a condition comes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return true


def test_ten_thousand_strangers_do_not_hurt_a_run() -> None:
    before, threads = descriptors(), threading.active_count()
    with Channel(HOST, 0) as channel, Reporter(channel.address, channel.key, rank=0) as first:
        port = port_of(channel)
        messages: list[Message] = []
        for number in range(10_000):
            call(port, GARBAGE[number % len(GARBAGE)], reset=number % 3 == 0).close()
            if number == 5_000:  # a rank that calls amid them
                first.send(Imported(seconds=1))
                with Reporter(channel.address, channel.key, rank=1) as second:
                    second.send(Imported(seconds=2))
                    messages += [channel.messages.get(timeout=10) for _ in range(4)]
        messages += [channel.messages.get(timeout=10)]
        assert sorted((message.rank, message.content.kind) for message in messages) == [
            (0, "hello"), (0, "imported"), (1, "gone"), (1, "hello"), (1, "imported"),
        ]  # fmt: skip
        assert comes_true(lambda: descriptors() <= before + 8)  # the listener, the selector, the rank's two ends
        assert threading.active_count() <= threads + 2
        first.send(Imported(seconds=3))
        assert channel.messages.get(timeout=10).content == Imported(seconds=3)
    assert comes_true(lambda: descriptors() <= before)


def test_callers_who_say_nothing_make_room_for_a_rank() -> None:
    with ExitStack() as stack, Channel(HOST, 0) as channel:
        silent = [stack.enter_context(call(port_of(channel))) for _ in range(3 * handshakes.MOST_WAITING)]
        with Reporter(channel.address, channel.key, rank=7):
            assert channel.messages.get(timeout=10).rank == 7
        assert silent[0].recv(1) == b""  # the oldest was hung up on
        assert not [thread for thread in threading.enumerate() if thread.name == "channel-caller" and thread.is_alive()][1:]


def test_a_slow_caller_has_its_seconds_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "SECONDS_TO_AUTHENTICATE", 0.4)
    with Channel(HOST, 0) as channel, call(port_of(channel)) as slow:
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() < began + 5:
                slow.sendall(b" ")  # each byte in time, the line never
                time.sleep(0.05)
        assert 0.4 <= time.monotonic() - began < 3


def test_a_rank_whose_line_comes_in_pieces_is_received() -> None:
    with Channel(HOST, 0) as channel, call(port_of(channel)) as rank:
        handshake, imported = (Message(rank=4, host="h", content=each) for each in (Handshake(pid=1), Imported(seconds=1)))
        line = f"{json.dumps({'key': channel.key, **handshake.model_dump()})}\n{imported.model_dump_json()}\n"
        for part in (line[:9], line[9:40], line[40:]):
            rank.sendall(part.encode())
            time.sleep(0.02)
        assert [channel.messages.get(timeout=5) for _ in range(2)] == [handshake, imported]


def test_exhausted_descriptors_do_not_end_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, failures = socket.socket.accept, [errno.EMFILE, errno.ECONNABORTED, errno.ENFILE]

    def failing(listener: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise OSError(code := failures.pop(0), os.strerror(code))
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with Channel(HOST, 0) as channel, Reporter(channel.address, channel.key, rank=2):
        assert channel.messages.get(timeout=5).rank == 2
    assert not failures


def test_the_channel_listens_on_the_address_it_is_given_alone() -> None:
    with Channel("localhost", 0, bind="127.0.0.2") as channel:
        mine = psutil.Process().net_connections("tcp")
        assert [each.laddr.ip for each in mine if each.laddr.port == port_of(channel)] == ["127.0.0.2"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port_of(channel)), timeout=5)
        with pytest.raises(queue.Empty):
            channel.messages.get(block=False)


def test_ranks_are_bound_to_the_interface_of_their_executor() -> None:
    assert interface_of("127.0.0.1") == interface_of("127.0.1.1") == "lo"
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                assert interface_of(each.address) == name
    assert interface_of("192.0.2.1") is None  # an address for documents, which no machine has
    assert interface_of("no-such-host.invalid") is None
