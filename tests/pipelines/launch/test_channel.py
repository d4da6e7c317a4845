"""The ranks' channel: it takes messages from those alone who have the key."""

import os
import queue
import socket
import threading

import pytest

from pipelines.errors import DataError, ExternalError
from pipelines.launch.channel import Channel
from pipelines.messages import Handshake, Imported, RankFailure, Ready
from pipelines.training.reporter import Reporter


def has_hung_up(caller: socket.socket) -> bool:
    """Whether the other end has hung up, with what it had not read or without."""
    try:
        return caller.recv(1) == b""
    except ConnectionResetError:
        return True


def test_messages_arrive_in_order_with_who_sent_them() -> None:
    with Channel("127.0.0.1", 0) as channel, Reporter(channel.address, channel.key, rank=3) as reporter:
        reporter.send(Imported(seconds=1))
        reporter.send(Ready(parameters=2))
        messages = [channel.messages.get(timeout=5) for _ in range(3)]
    assert [message.content for message in messages] == [Handshake(pid=os.getpid()), Imported(seconds=1), Ready(parameters=2)]
    assert {(message.rank, message.host) for message in messages} == {(3, socket.gethostname())}


def test_an_error_travels_with_its_exit_code_and_traceback() -> None:
    with Channel("127.0.0.1", 0) as channel:
        with pytest.raises(DataError), Reporter(channel.address, channel.key, rank=0):
            raise DataError("no such file")
        channel.messages.get(timeout=5)
        message = channel.messages.get(timeout=5)
    failure = message.content
    assert isinstance(failure, RankFailure)
    assert (failure.type, failure.message, failure.exit_code) == ("DataError", "no such file", 3)
    assert "test_channel.py" in failure.traceback


def test_a_store_that_does_not_answer_a_rank_is_no_bug() -> None:
    with Channel("127.0.0.1", 0) as channel:
        with pytest.raises(OSError, match="NETWORK"), Reporter(channel.address, channel.key, rank=0):
            raise OSError("When initiating multiple part upload: AWS Error NETWORK_CONNECTION during CreateMultipartUpload")
        channel.messages.get(timeout=5)
        message = channel.messages.get(timeout=5)
    failure = message.content
    assert isinstance(failure, RankFailure)
    assert (failure.type, failure.exit_code) == ("RankError", 5)
    assert failure.message.startswith("the store did not answer (When initiating")


@pytest.mark.parametrize("handshake", [b'{"key": "wrong", "rank": 0, "host": "h"}\n', b"GET / HTTP/1.1\n", b"[1]\n"])
def test_a_stranger_is_hung_up_on(handshake: bytes) -> None:
    with Channel("127.0.0.1", 0) as channel:
        host, port = channel.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(handshake + b'{"kind": "done"}\n')
            assert has_hung_up(stranger)
        with pytest.raises(queue.Empty):
            channel.messages.get(timeout=0.2)


def test_a_port_that_is_taken_is_exit_5() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ExternalError, match=rf"train\.channel_port: cannot listen on 127\.0\.0\.1:{port}") as caught:
            Channel("127.0.0.1", port)
    assert caught.value.exit_code == 5


def test_a_proxy_is_put_through_to_the_loopback_both_ways() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mpiexec, Channel("127.0.0.1", 0, mpiexec.getsockname()[1]) as channel:
        host, port = channel.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as proxy:
            proxy.sendall(f'{{"key": "{channel.key}", "kind": "proxy"}}\n'.encode() + b"init")
            answering, _ = mpiexec.accept()
            with answering:
                assert answering.recv(4, socket.MSG_WAITALL) == b"init"
                answering.sendall(b"ok")
                assert proxy.recv(2, socket.MSG_WAITALL) == b"ok"
            assert has_hung_up(proxy)


def test_a_proxy_without_the_key_never_reaches_the_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mpiexec, Channel("127.0.0.1", 0, mpiexec.getsockname()[1]) as channel:
        host, port = channel.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(b'{"key": "guess", "kind": "proxy"}\ninit')
            assert has_hung_up(stranger)
        mpiexec.settimeout(0.3)
        with pytest.raises(TimeoutError):
            mpiexec.accept()


def test_once_it_is_left_nobody_listens_and_the_port_is_free() -> None:
    with Channel("127.0.0.1", 0) as channel:
        port = int(channel.address.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not any(thread.name == "channel" for thread in threading.enumerate())
    with Channel("127.0.0.1", port):
        pass


def test_an_error_is_reported_once() -> None:
    with Channel("127.0.0.1", 0) as channel:
        bad = DataError("a bad row")
        reporter = Reporter(channel.address, channel.key, 1)
        reporter.error(bad)
        reporter.__exit__(DataError, bad, None)
        kinds = [channel.messages.get(timeout=5).content.kind for _ in range(3)]
    assert kinds == ["hello", "error", "gone"]
