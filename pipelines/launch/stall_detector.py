"""Find the rank that holds the others up, from the ranks' heartbeats: one that is silent, hangs, or is slow."""

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
    """A rank's state: when its last message came, when it last advanced, its last heartbeat, and its first one after a step."""

    host: str
    heard_at: float
    advanced_at: float
    heartbeat: Message = field(default_factory=dict)
    first_heartbeat: Message = field(default_factory=dict)

    def record(self, heartbeat: Message) -> None:
        """Keep a heartbeat as the last one, and as the first one of its epoch that has done a step."""
        if heartbeat["step"] and (not self.first_heartbeat or self.first_heartbeat["epoch"] != heartbeat["epoch"]):
            self.first_heartbeat = heartbeat
        self.heartbeat = heartbeat

    def work(self) -> tuple[float, int]:
        """Seconds of its own work in this epoch and steps done meanwhile, from the first heartbeat that knew of a step.

        Earlier time does not count: the first call is traced, and how long that takes says nothing about a rank.
        """
        if not self.first_heartbeat or self.first_heartbeat["epoch"] != self.heartbeat["epoch"]:
            return 0.0, 0
        last, first = self.heartbeat, self.first_heartbeat
        return _own_seconds(last) - _own_seconds(first), last["step"] - first["step"]


class StallDetector:
    """Detects stalled and slow ranks from every message of the ranks and the clock.

    Until the first steps are done, which are traced before, and while a model is exported, ranks may stand still for
    `first_seconds`.
    """

    def __init__(self, stall_seconds: float, first_seconds: float) -> None:
        self._stall, self._first = stall_seconds, max(first_seconds, stall_seconds)
        self._ranks: dict[int, _Rank] = {}
        self._slow: set[int] = set()
        self._has_stepped = False

    def update(self, message: Message) -> Message | None:
        """Record a message; return another, of kind `slow`, once a rank turns out to hold the others up."""
        now = time.monotonic()
        rank = self._ranks.setdefault(message["rank"], _Rank(message["host"], now, now))
        rank.heard_at = now
        if message["kind"] != "beat":
            rank.advanced_at = now
            return None
        if _progress(message) != _progress(rank.heartbeat):
            rank.advanced_at = now
        rank.record(message)
        self._has_stepped |= message["step"] > 0
        return self._slowness(message["rank"])

    def remove(self, rank: int) -> None:
        """Forget a rank that is done: nothing waits for it any more."""
        self._ranks.pop(rank, None)

    def check(self) -> None:
        """Raise RankError, naming rank, host and what it last did, when one is silent or none gets on."""
        now = time.monotonic()
        reporting = {number: rank for number, rank in self._ranks.items() if rank.heartbeat}
        for number, rank in reporting.items():
            if now - rank.heard_at > self._stall:
                raise RankError(
                    f"rank {number} on {rank.host} hangs: not a word for {now - rank.heard_at:.0f} seconds, after "
                    f"{_describe(rank)}. Its process is stopped, or its host gone. {self._hint()}"
                )
        exporting = any(rank.heartbeat["phase"] == EXPORT for rank in reporting.values())
        allowed = self._stall if self._has_stepped and not exporting else self._first
        if not reporting or any(now - rank.advanced_at <= allowed for rank in reporting.values()):
            return
        number, rank = min(
            reporting.items(), key=lambda item: (item[1].heartbeat["phase"] == COMPUTE, item[1].heartbeat["step"])
        )
        others = ", ".join(f"rank {other}: {_describe(its)}" for other, its in reporting.items() if other != number)
        raise RankError(
            f"rank {number} on {rank.host} hangs: nothing has moved for {now - rank.advanced_at:.0f} seconds; it is at "
            f"{_describe(rank)}{f' ({others})' if others else ''}. {self._hint()}"
        )

    def _hint(self) -> str:
        return "Raise train.stall_timeout_seconds where steps or storage take that long."

    def _slowness(self, number: int) -> Message | None:
        """A message about a rank whose own work takes half as long again, a step, as that of the others in the same epoch."""
        rank, (seconds, steps) = self._ranks[number], self._ranks[number].work()
        if number in self._slow or not steps or seconds < SECONDS_BEFORE_SLOW:
            return None
        peers = [other for other in self._ranks.values() if other is not rank and other.heartbeat]
        peer_work = [other.work() for other in peers if other.heartbeat["epoch"] == rank.heartbeat["epoch"]]
        others = [its / done for its, done in peer_work if done]
        if not others or (own := seconds / steps) < SLOW * (usual := statistics.median(others)):
            return None
        self._slow.add(number)
        return {
            "kind": "slow", "rank": number, "host": rank.host, "epoch": rank.heartbeat["epoch"], "step": rank.heartbeat["step"],
            "message": (
                f"rank {number} on {rank.host} is slow: {own * 1e3:.1f} ms a step for its own work, the others' take "
                f"{usual * 1e3:.1f} ms and wait for it ({_shares(rank.heartbeat)})"
            ),
        }  # fmt: skip


def _own_seconds(heartbeat: Message) -> float:
    return float(heartbeat["feed_seconds"] + heartbeat["compute_seconds"])


def _shares(heartbeat: Message) -> str:
    """Of its time in this epoch, the shares of feed, compute and wait."""
    seconds = {name: float(heartbeat[f"{name}_seconds"]) for name in ("feed", "compute", "wait")}
    return ", ".join(f"{name} {value / max(sum(seconds.values()), 1e-9):.0%}" for name, value in seconds.items())


def _progress(heartbeat: Message) -> tuple[object, ...]:
    return tuple(heartbeat.get(name) for name in ("epoch", "step", "phase", "validated"))


def _describe(rank: _Rank) -> str:
    heartbeat = rank.heartbeat
    return f"epoch {heartbeat['epoch'] + 1}, step {heartbeat['step']}, {heartbeat['phase']}"
