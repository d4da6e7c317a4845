"""What writers saw of their commits, held against what the tables have: whether a commit is lost, doubled, or there though it
failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel

Kind = Literal["rows", "frame", "own", "shared"]
Result = Literal["succeeded", "refused", "failed", "unknown"]
EVENTS, NIGHTS, LEDGER = "events", "nights", "row_ledger"
TABLES: dict[Kind, tuple[str, ...]] = {
    "rows": (EVENTS,),
    "frame": (EVENTS,),
    "own": (NIGHTS, LEDGER),
    "shared": (NIGHTS, LEDGER),
}
PARTS = (0, 1)  # of each write to a slot, so that half of one shows


class WriteOutcome(BaseModel, frozen=True):
    """One write as its writer saw it. `slot` is the partition that it replaces, and empty where it appends."""

    writer: int
    number: int
    kind: Kind
    slot: str
    result: Result
    error: str = ""

    @property
    def run_id(self) -> str:
        """The run that the write's snapshots name."""
        return f"w{self.writer}n{self.number}"


class Contents(BaseModel, frozen=True):
    """The tables at the end: the runs of main's snapshots, oldest first, the runs of appended rows, and by slot its rows."""

    snapshots: dict[str, list[str]]
    events: list[str]
    slots: dict[str, dict[str, list[tuple[str, int]]]]


class Faults(NamedTuple):
    """Runs whose commit is lost, is there twice, or is there though the writer saw it fail."""

    lost: set[str]
    doubled: set[str]
    unexpected: set[str]


@dataclass(frozen=True)
class WriteCheck:
    """All outcomes, and the tables that they are held against."""

    outcomes: Sequence[WriteOutcome]
    contents: Contents

    def faults(self) -> Faults:
        """What is wrong; nothing, where every commit is in the tables once."""
        all_faults = [self._of_snapshots(), self._of_events(), *(self._of_slots(name) for name in (NIGHTS, LEDGER))]
        return Faults(*(set().union(*parts) for parts in zip(*all_faults, strict=True)))

    def _of_snapshots(self) -> Faults:
        """By main's log of snapshots. A refused write may be in it, published in part before it was overtaken."""
        counts = {name: Counter(runs) for name, runs in self.contents.snapshots.items()}
        lost, doubled, unexpected = set(), set(), set()
        for outcome in self.outcomes:
            times = [counts[name][outcome.run_id] for name in TABLES[outcome.kind]]
            if outcome.result == "succeeded" and min(times) == 0:
                lost.add(outcome.run_id)
            if max(times) > 1:
                doubled.add(outcome.run_id)
            if outcome.result == "failed" and max(times):
                unexpected.add(outcome.run_id)
        known = {outcome.run_id for outcome in self.outcomes}
        return Faults(lost, doubled, unexpected | {run for runs in counts.values() for run in runs if run not in known})

    def _of_events(self) -> Faults:
        """By the appended rows: one for each write."""
        counts = Counter(self.contents.events)
        appends = [outcome for outcome in self.outcomes if EVENTS in TABLES[outcome.kind]]
        return Faults(
            {each.run_id for each in appends if each.result == "succeeded" and not counts[each.run_id]},
            {each.run_id for each in appends if counts[each.run_id] > 1},
            {each.run_id for each in appends if each.result in ("failed", "refused") and counts[each.run_id]},
        )

    def _of_slots(self, table: str) -> Faults:
        """By the rows of each slot, which the last successful write to it replaced."""
        lost, doubled, unexpected = set(), set(), set()
        order = {run: position for position, run in enumerate(self.contents.snapshots[table])}
        for slot in sorted({outcome.slot for outcome in self.outcomes if outcome.slot}):
            of_slot = [outcome for outcome in self.outcomes if outcome.slot == slot]
            rows = Counter(self.contents.slots[table].get(slot, []))
            successes = [each.run_id for each in of_slot if each.result == "succeeded"]
            last = max(successes, key=lambda run: order.get(run, -1), default=None)
            unknown = {each.run_id for each in of_slot if each.result == "unknown"}
            runs_present = {run for run, _ in rows}
            if last and not runs_present & unknown and {part for run, part in rows if run == last} != set(PARTS):
                lost.add(last)
            doubled |= {run for (run, _), count in rows.items() if count > 1}
            unexpected |= runs_present - unknown - {last}
        return Faults(lost, doubled, unexpected)
