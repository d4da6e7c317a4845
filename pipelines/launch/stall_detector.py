"""Find the rank that holds the others up, from the ranks' heartbeats: one that is silent, hangs, or is slow."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.errors import RankError
from pipelines.messages import Heartbeat, Message, SlowRank

COMPUTE = "compute"  # the phase in which a rank may wait for the others
EXPORT = "export"  # one piece of work, in which nothing is counted
SLOW = 1.5
SECONDS_BEFORE_SLOW = 2.0


@dataclass
class _Rank:
    """A rank's state: when its last message came, when it last advanced, its last heartbeat, and its first one after a step."""

    host: str
    heard_at: float
    advanced_at: float
    heartbeat: Heartbeat | None = None
    first_heartbeat: Heartbeat | None = None

    def record(self, heartbeat: Heartbeat) -> None:
        """Keep a heartbeat as the last one, and as the first one of its epoch that has done a step."""
        if heartbeat.step and (not self.first_heartbeat or self.first_heartbeat.epoch != heartbeat.epoch):
            self.first_heartbeat = heartbeat
        self.heartbeat = heartbeat

    def work(self) -> tuple[float, int]:
        """Seconds of its own work in this epoch and steps done meanwhile, from the first heartbeat that knew of a step.

        Earlier time does not count: the first call is traced, and how long that takes says nothing about a rank.
        """
        last, first = self.heartbeat, self.first_heartbeat
        if not last or not first or first.epoch != last.epoch:
            return 0.0, 0
        return last.own_seconds - first.own_seconds, last.step - first.step


class StallDetector:
    """Detects stalled and slow ranks from every message of the ranks and the clock.

    Until the first steps are done, which are traced before, and while a model is exported, ranks may stand still for
    `first_seconds`. `clock` gives seconds.
    """

    def __init__(self, stall_seconds: float, first_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stall, self._first, self._clock = stall_seconds, max(first_seconds, stall_seconds), clock
        self._ranks: dict[int, _Rank] = {}
        self._slow: set[int] = set()
        self._stepped_at: float | None = None

    def update(self, message: Message) -> Message | None:
        """Record a message; return one of a `SlowRank` once a rank turns out to hold the others up."""
        now = self._clock()
        rank = self._ranks.setdefault(message.rank, _Rank(message.host, now, now))
        rank.heard_at = now
        heartbeat = message.content
        if not isinstance(heartbeat, Heartbeat):
            rank.advanced_at = now
            return None
        if rank.heartbeat is None or _progress(heartbeat) != _progress(rank.heartbeat):
            rank.advanced_at = now
        rank.record(heartbeat)
        if heartbeat.step and self._stepped_at is None:
            self._stepped_at = now
        slow = self._slowness(message.rank, heartbeat)
        return Message(rank=message.rank, host=message.host, content=slow) if slow else None

    def remove(self, rank: int) -> None:
        """Forget a rank that is done: nothing waits for it any more."""
        self._ranks.pop(rank, None)

    def check(self) -> None:
        """Raise RankError, naming rank, host and what it last did, when one is silent or none gets on."""
        now = self._clock()
        for number, rank in self._ranks.items():
            silent = now - self._expected_since(rank)
            if silent > self._stall:
                last = _describe(rank.heartbeat) if rank.heartbeat else "it was ready"
                raise RankError(
                    f"rank {number} on {rank.host} hangs: not a word for {silent:.0f} seconds, after {last}. Its process is "
                    f"stopped, or its host gone. {self._hint()}"
                )
        reporting = {number: (rank, rank.heartbeat) for number, rank in self._ranks.items() if rank.heartbeat}
        exporting = any(heartbeat.phase == EXPORT for _, heartbeat in reporting.values())
        allowed = self._stall if self._stepped_at is not None and not exporting else self._first
        if not reporting or any(now - rank.advanced_at <= allowed for rank, _ in reporting.values()):
            return
        number = min(reporting, key=lambda number: (reporting[number][1].phase == COMPUTE, reporting[number][1].step))
        rank, heartbeat = reporting[number]
        others = ", ".join(f"rank {other}: {_describe(its)}" for other, (_, its) in reporting.items() if other != number)
        raise RankError(
            f"rank {number} on {rank.host} hangs: nothing has moved for {now - rank.advanced_at:.0f} seconds; it is at "
            f"{_describe(heartbeat)}{f' ({others})' if others else ''}. {self._hint()}"
        )

    def _expected_since(self, rank: _Rank) -> float:
        """From when on a rank's next word is awaited. All ranks train once one has done a step: who was only ready till then
        has stopped before its first heartbeat.
        """
        if rank.heartbeat:
            return rank.heard_at
        return math.inf if self._stepped_at is None else max(rank.heard_at, self._stepped_at)

    def _hint(self) -> str:
        return "Raise train.stall_timeout_seconds where steps or storage take that long."

    def _slowness(self, number: int, heartbeat: Heartbeat) -> SlowRank | None:
        """A report of a rank whose own work takes half as long again, a step, as that of the others in the same epoch."""
        rank, (seconds, steps) = self._ranks[number], self._ranks[number].work()
        if number in self._slow or not steps or seconds < SECONDS_BEFORE_SLOW:
            return None
        peers = [other for other in self._ranks.values() if other is not rank and other.heartbeat]
        peer_work = [other.work() for other in peers if other.heartbeat and other.heartbeat.epoch == heartbeat.epoch]
        others = [its / done for its, done in peer_work if done]
        if not others or (own := seconds / steps) < SLOW * (usual := statistics.median(others)):
            return None
        self._slow.add(number)
        of = heartbeat.shares()
        text = (
            f"rank {number} on {rank.host} is slow: {own * 1e3:.1f} ms a step for its own work, the others' take "
            f"{usual * 1e3:.1f} ms and wait for it (feed {of.feed:.0%}, compute {of.compute:.0%}, wait {of.wait:.0%})"
        )
        return SlowRank(epoch=heartbeat.epoch, step=heartbeat.step, message=text)


def _progress(heartbeat: Heartbeat) -> tuple[object, ...]:
    return heartbeat.epoch, heartbeat.step, heartbeat.phase, heartbeat.computed


def _describe(heartbeat: Heartbeat) -> str:
    return f"epoch {heartbeat.epoch + 1}, step {heartbeat.step}, {heartbeat.phase}"
