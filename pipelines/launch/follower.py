"""Follow the ranks' messages until all ranks are done, and turn a failure into one clear error."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable

from pipelines.errors import ConfigError, DataError, EchoError, ExternalError, QualityError, RankError, RingmillError
from pipelines.launch.channel import Channel
from pipelines.launch.stall_detector import StallDetector
from pipelines.messages import Done, Gone, Message, RankFailure, Ready

SECONDS_FOR_LAST_WORDS = 3
ECHOES = ("Horovod has been shut down", "HorovodInternalError")
OWN = {kind.exit_code: kind for kind in (ConfigError, DataError, QualityError, ExternalError)}


class Follower:
    """Handles the ranks' messages in turn; `ended` returns how the launcher ended, None while it runs."""

    def __init__(self, ranks: int, channel: Channel, ended: Callable[[], str | None], detector: StallDetector) -> None:
        self._ranks = ranks
        self._channel = channel
        self._ended = ended
        self._detector = detector
        self._ready: set[int] = set()
        self._done: set[int] = set()

    def follow(self, listen: Callable[[Message], None], start_seconds: float) -> None:
        """Hand each message to `listen` until all ranks are done, or raise what went wrong."""
        deadline = time.monotonic() + start_seconds
        while len(self._done) < self._ranks:
            message = self._next()
            if message is None:
                if self._ended() is not None:
                    raise self._cause([])
                if len(self._ready) < self._ranks and time.monotonic() > deadline:
                    missing = sorted(set(range(self._ranks)) - self._ready)
                    raise RankError(
                        f"ranks {missing} of {self._ranks} were not ready after {start_seconds:.0f} seconds. See the "
                        f"executors' logs, or raise train.start_timeout_seconds."
                    )
            else:
                self._handle(message, listen)
            if self._channel.messages.empty():  # a driver that was held up has yet to hear what the ranks said meanwhile
                self._detector.check()

    def _handle(self, message: Message, listen: Callable[[Message], None]) -> None:
        rank, content = message.rank, message.content
        if isinstance(content, RankFailure) or (isinstance(content, Gone) and rank not in self._done):
            raise self._cause([message])
        if isinstance(content, Ready):
            self._ready.add(rank)
        if slow := self._detector.update(message):
            listen(slow)
        if isinstance(content, Done):
            self._done.add(rank)
        if rank in self._done:
            self._detector.remove(rank)
        listen(message)

    def _next(self, seconds: float = 0.2) -> Message | None:
        try:
            return self._channel.messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def _cause(self, messages: list[Message]) -> RingmillError:
        """The error behind a failure: a rank's own words, then a rank that is gone without any, then an echo of either."""
        deadline = time.monotonic() + SECONDS_FOR_LAST_WORDS
        while time.monotonic() < deadline and not any(_is_original(failure) for _, failure in _failures(messages)):
            if message := self._next():
                messages.append(message)
        failures = _failures(messages)
        if own := next((each for each in failures if _is_original(each[1])), None):
            return _rank_error(*own)
        reporting = {message.rank for message, _ in failures}
        gone = [each for each in messages if isinstance(each.content, Gone) and each.rank not in reporting | self._done]
        launcher = self._ended()
        after = f"\n{launcher}" if launcher else ""
        if gone:
            return RankError(f"rank {gone[0].rank} on {gone[0].host} died: its process ended without a word.{after}")
        if failures:
            return _rank_error(*failures[0])
        return RankError(f"the ranks ended before they were done; only {sorted(self._done)} of {self._ranks} were.{after}")


def _failures(messages: Iterable[Message]) -> list[tuple[Message, RankFailure]]:
    return [(message, message.content) for message in messages if isinstance(message.content, RankFailure)]


def _is_original(failure: RankFailure) -> bool:
    """Whether a failure is of the rank's own making, and no echo of another rank's end."""
    if failure.type == EchoError.__name__:
        return False
    return not any(echo in f"{failure.type}: {failure.message}" for echo in ECHOES)


def _rank_error(message: Message, failure: RankFailure) -> RingmillError:
    where = f"rank {message.rank} on {message.host}"
    if failure.type == RankError.__name__:
        return RankError(f"{where}: {failure.message}")
    if failure.exit_code in OWN:
        return OWN[failure.exit_code](f"{where}: {failure.message}")
    text = f"{where} raised {failure.type}: {failure.message}\n{failure.traceback}"
    # Horovod's own error is a peer that is gone or stalls; any other that is not ours is a bug.
    return RingmillError(text) if _is_original(failure) else RankError(text)
