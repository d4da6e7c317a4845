"""Who holds the others up: finds the rank that is silent or hangs, and the one that is slow, from the ranks' beats."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

from pipelines.errors import RankError
from pipelines.launch.channel import Message

COMPUTE = "compute"  # the phase in which a rank may wait for the others
EXPORT = "export"  # one piece of work, in which nothing is counted
SLOW = 1.5
SECONDS_BEFORE_SLOW = 2.0


@dataclass
class _Rank:
    """What was last heard of a rank: when anything, when something new, its last beat, and its first one after a step."""

    host: str
    heard: float
    moved: float
    beat: Message = field(default_factory=dict)
    first: Message = field(default_factory=dict)

    def take(self, beat: Message) -> None:
        """Take a beat in."""
        if beat["step"] and (not self.first or self.first["epoch"] != beat["epoch"]):
            self.first = beat
        self.beat = beat

    def work(self) -> tuple[float, int]:
        """Seconds of its own work in this epoch and steps done meanwhile, from the first beat that knew of a step.

        What went before is not looked at: the first call is traced, and how long that takes says nothing about a rank.
        """
        if not self.first or self.first["epoch"] != self.beat["epoch"]:
            return 0.0, 0
        return _busy(self.beat) - _busy(self.first), self.beat["step"] - self.first["step"]


class Watch:
    """Hears every message of the ranks, and judges them by the clock.

    Until the first steps are done, which are traced before, and while a model is exported, ranks may stand still for
    `first_seconds`.
    """

    def __init__(self, stall_seconds: float, first_seconds: float) -> None:
        self._stall, self._first = stall_seconds, max(first_seconds, stall_seconds)
        self._ranks: dict[int, _Rank] = {}
        self._slow: set[int] = set()
        self._under_way = False

    def hear(self, message: Message) -> Message | None:
        """Take a message in; gives another, of kind `slow`, once a rank turns out to hold the others up."""
        now = time.monotonic()
        rank = self._ranks.setdefault(message["rank"], _Rank(message["host"], now, now))
        rank.heard = now
        if message["kind"] != "beat":
            rank.moved = now
            return None
        if _place(message) != _place(rank.beat):
            rank.moved = now
        rank.take(message)
        self._under_way |= message["step"] > 0
        return self._slowness(message["rank"])

    def leave(self, rank: int) -> None:
        """A rank is done: it is not waited for any more."""
        self._ranks.pop(rank, None)

    def check(self) -> None:
        """Raise RankError, naming rank, host and what it last did, when one is silent or none gets on."""
        now = time.monotonic()
        beating = {number: rank for number, rank in self._ranks.items() if rank.beat}
        for number, rank in beating.items():
            if now - rank.heard > self._stall:
                raise RankError(
                    f"rank {number} on {rank.host} hangs: not a word for {now - rank.heard:.0f} seconds, after {_told(rank)}. "
                    f"Its process is stopped, or its host gone. {self._hint()}"
                )
        exporting = any(rank.beat["phase"] == EXPORT for rank in beating.values())
        allowed = self._stall if self._under_way and not exporting else self._first
        if not beating or any(now - rank.moved <= allowed for rank in beating.values()):
            return
        number, rank = min(beating.items(), key=lambda each: (each[1].beat["phase"] == COMPUTE, each[1].beat["step"]))
        others = ", ".join(f"rank {other}: {_told(its)}" for other, its in beating.items() if other != number)
        raise RankError(
            f"rank {number} on {rank.host} hangs: nothing has moved for {now - rank.moved:.0f} seconds; it is at {_told(rank)}"
            f"{f' ({others})' if others else ''}. {self._hint()}"
        )

    def _hint(self) -> str:
        return "Raise train.stall_timeout_seconds where steps or storage take that long."

    def _slowness(self, number: int) -> Message | None:
        """A message about a rank whose own work takes half as long again, a step, as that of the others in the same epoch."""
        rank, (seconds, steps) = self._ranks[number], self._ranks[number].work()
        if number in self._slow or not steps or seconds < SECONDS_BEFORE_SLOW:
            return None
        beside = [other for other in self._ranks.values() if other is not rank and other.beat]
        theirs = [other.work() for other in beside if other.beat["epoch"] == rank.beat["epoch"]]
        others = [its / done for its, done in theirs if done]
        if not others or (own := seconds / steps) < SLOW * (usual := statistics.median(others)):
            return None
        self._slow.add(number)
        return {
            "kind": "slow", "rank": number, "host": rank.host, "epoch": rank.beat["epoch"], "step": rank.beat["step"],
            "message": (
                f"rank {number} on {rank.host} is slow: {own * 1e3:.1f} ms a step for its own work, the others' take "
                f"{usual * 1e3:.1f} ms and wait for it ({_shares(rank.beat)})"
            ),
        }  # fmt: skip


def _busy(beat: Message) -> float:
    return float(beat["feed_seconds"] + beat["compute_seconds"])


def _shares(beat: Message) -> str:
    """Of its time in this epoch, the shares of feed, compute and wait."""
    seconds = {name: float(beat[f"{name}_seconds"]) for name in ("feed", "compute", "wait")}
    return ", ".join(f"{name} {value / max(sum(seconds.values()), 1e-9):.0%}" for name, value in seconds.items())


def _place(beat: Message) -> tuple[object, ...]:
    return tuple(beat.get(name) for name in ("epoch", "step", "phase", "validated"))


def _told(rank: _Rank) -> str:
    beat = rank.beat
    return f"epoch {beat['epoch'] + 1}, step {beat['step']}, {beat['phase']}"
