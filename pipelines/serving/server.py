"""The service as a process: its socket, its signals, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
import uvloop

from pipelines.errors import ConfigError, ExternalError
from pipelines.serving.app import build_app
from pipelines.serving.fast_path import FastPath
from pipelines.serving.gate import Gate
from pipelines.serving.protocol import FastProtocol
from pipelines.serving.service import Service
from pipelines.serving.settings import Settings

LOG = logging.getLogger(__name__)
BACKLOG = 2048


def check_exposure(settings: Settings) -> None:
    """Raise ConfigError when strangers could call the service without a key, unless `insecure` allows it."""
    try:
        loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not settings.key and not settings.insecure:
        raise ConfigError(
            f"--host {settings.host}: other machines could call the service without a key. Set the environment variable of "
            f"--key-variable, listen on 127.0.0.1, or give --insecure."
        )


def check_tls(settings: Settings) -> None:
    """Raise ConfigError when the certificate and its key can't be read, or do not belong together."""
    certificate, key = settings.certificate, settings.private_key
    if (certificate is None) != (key is None):
        raise ConfigError("--certificate and --private-key belong together; expected both, or neither.")
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--certificate {certificate}, --private-key {key}: can't be used ({error}). Fix the paths."
        ) from error


def bind(settings: Settings) -> socket.socket:
    """A listening socket; raises ExternalError when the address can't be had.

    Linux ends a connection whose client takes no data for `idle_seconds`.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.limits.idle_seconds * 1000))
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        is_in_use = error.errno == errno.EADDRINUSE
        cause = "another program listens there" if is_in_use else str(error)
        raise ExternalError(f"{host}:{port}: can't listen: {cause}. Give another --port, or --port 0 for any.") from error
    return listener


class Server(uvicorn.Server):
    """Uvicorn's server, whose readiness goes before it stops to accept requests, and which loads new models."""

    def __init__(self, config: uvicorn.Config, service: Service, early: Sequence[int] = ()) -> None:
        super().__init__(config)
        self._service, self._early = service, early
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Readiness goes at the first signal, and the service stops `drain_seconds` later. A second signal stops it at once."""
        if self._service.draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._service.draining = True
        LOG.info("stopping: requests in work are finished")
        stop = partial(super().handle_exit, sig, frame)
        self._loop.call_soon_threadsafe(self._loop.call_later, self._service.settings.drain_seconds, stop)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and end at once when a signal to end came before uvicorn took signals over."""
        await super().startup(sockets)
        for number in self._early:
            self.handle_exit(number, None)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it, and look for new models meanwhile."""
        loop, poll = asyncio.get_running_loop(), self._service.settings.poll_seconds
        self._loop, hang_up = loop, asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, hang_up.set)
        watcher = loop.create_task(self._watch(hang_up, poll))
        try:
            await super().serve(sockets)
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, hang_up: asyncio.Event, poll: float) -> None:
        """Look for another current model every so many seconds (never, if 0), and at each SIGHUP."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hang_up.wait(), poll or None)
            hang_up.clear()
            try:
                await self._service.refresh()
            except Exception:
                LOG.exception("looking for a new model failed; the current one stays")


def serve(service: Service) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = service.settings
    check_exposure(settings)
    check_tls(settings)
    with contextlib.closing(bind(settings)) as listener:
        service.load_first()
        config = uvicorn.Config(
            Gate(build_app(service), service),
            http=cast("type[asyncio.Protocol]", partial(FastProtocol, fast_path=FastPath(service))),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.private_key,
            timeout_graceful_shutdown=int(settings.stop_seconds),
        )
        # Python's collector would walk all that was imported and loaded again and again, and hold up requests for 20 ms.
        gc.collect()
        gc.freeze()
        scheme = "https" if settings.certificate else "http"
        with _kept_signals() as early, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            # Who reads this may end the service at once.
            LOG.info("listening on %s://%s:%d (process %d)", scheme, settings.host, listener.getsockname()[1], os.getpid())
            runner.run(Server(config, service, early).serve([listener]))


@contextlib.contextmanager
def _kept_signals() -> Iterator[list[int]]:
    """Keep the signals that come before uvicorn takes them over. Those that ended it are raised once more when it is done; here
    that is a normal end.
    """
    early: list[int] = []
    before = {sig: signal.signal(sig, lambda number, _: early.append(number)) for sig in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield early
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
