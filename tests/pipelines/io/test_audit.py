"""Runs that publish at once: intervals all land, and of one interval every table is one run's."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import ConflictError
from pipelines.io import audit as audits
from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from schemas.contract import Column, Table

NAMES = ("apples", "pears", "row_ledger")
TABLES = [
    Table(name, (Column("day", "int", nullable=False), Column("run", "string"), Column("n", "int")), partition_by=("day",))
    for name in NAMES
]


def runs(lake: Lake, count: int) -> list[Lake]:
    """As many runs on one namespace."""
    return [Lake(lake.spark, lake.namespace, f"run_{letter}") for letter in "abcdef"[:count]]


def steps(lake: Lake, day: int = 1, tables: list[Table] = TABLES) -> Iterator[str]:
    """A run of one day, a step at a time: stage all tables (in another order than that of publishing), publish each."""
    with Audit(lake, f"day {day}") as audit:
        for contract in reversed(tables):
            rows = [{"day": day, "run": lake.run_id, "n": n} for n in range(2)]
            audit.write(contract, lake.frame(contract, rows), F.col("day") == day)
        yield "staged"
        for name, _ in audit.publishing():
            yield name


def finish(work: Iterator[str]) -> str | None:
    """Do the rest of a run; return its conflict, if it meets one."""
    try:
        for _ in work:
            pass
    except ConflictError as error:
        return str(error)
    return None


def published_run(lake: Lake, day: int = 1, tables: list[Table] = TABLES) -> str:
    """The one run whose rows, all of them, are a day's in every table."""
    rows = {
        contract.name: sorted((row.run, row.n) for row in lake.read(contract.name).where(F.col("day") == day).collect())
        for contract in tables
    }
    run = rows[tables[0].name][0][0]
    assert rows == {contract.name: [(run, 0), (run, 1)] for contract in tables}
    return str(run)


def branches(lake: Lake) -> set[str]:
    """All tables' branches and tags."""
    return {row.name for name in NAMES for row in lake.spark.table(f"{lake.identifier(name)}.refs").collect()}


TURNS = 4  # of each run: stage, publish, publish the ledger, check


@pytest.mark.slow
@pytest.mark.parametrize("first", [(0, *others) for others in combinations(range(1, 2 * TURNS), TURNS - 1)])
def test_two_runs_of_one_interval_in_every_order_leave_one_run_in_all_tables(lake: Lake, first: tuple[int, ...]) -> None:
    two = [TABLES[0], TABLES[2]]
    lake_a, lake_b = runs(lake, 2)
    finish(steps(Lake(lake.spark, lake.namespace, "run_before"), tables=two))
    works = {run.run_id: steps(run, tables=two) for run in (lake_a, lake_b)}
    conflicts: dict[str, str] = {}
    for turn in range(2 * TURNS):
        run = "run_a" if turn in first else "run_b"
        try:
            next(works[run], None)
        except ConflictError as error:
            conflicts[run] = str(error)
    winner = published_run(lake, tables=two)
    assert winner in {"run_a", "run_b"} - set(conflicts)
    assert all(f"run {winner} published the same (day 1)" in text for text in conflicts.values())


class Turns:
    """Lets one of several threads go on at a time, a random one, at each commit of a reference and each write."""

    def __init__(self, seed: int, count: int) -> None:
        self._random = random.Random(seed)
        self._condition = threading.Condition()
        self._waiting: set[int] = set()
        self._running = count

    def wait(self) -> None:
        """Until it is this thread's turn."""
        me = threading.get_ident()
        with self._condition:
            self._waiting.add(me)
            self._running -= 1
            self._pass_on()
            self._condition.wait_for(lambda: me not in self._waiting)

    def leave(self) -> None:
        """Let the others continue: the calling thread is done."""
        with self._condition:
            self._running -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        if not self._running and self._waiting:
            self._waiting.remove(self._random.choice(sorted(self._waiting)))
            self._running = 1
            self._condition.notify_all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_three_runs_of_one_interval_beside_one_of_another_commit_by_commit(
    lake: Lake, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(steps(Lake(lake.spark, lake.namespace, "run_before")))
    works = [(run, 1) for run in runs(lake, 3)] + [(Lake(lake.spark, lake.namespace, "run_other"), 2)]
    turns = Turns(seed, len(works))
    commit, publisher = IcebergTable._commit, IcebergTable.publisher

    def slow(call: Callable[..., Any]) -> Callable[..., Any]:
        def _wait(*arguments: Any, **named: Any) -> Any:
            turns.wait()
            return call(*arguments, **named)

        return _wait

    monkeypatch.setattr(IcebergTable, "_commit", slow(commit))
    monkeypatch.setattr(IcebergTable, "publisher", slow(publisher))

    def run(work: tuple[Lake, int]) -> str | None:
        try:
            return finish(steps(*work))
        finally:
            turns.leave()

    with ThreadPoolExecutor(len(works)) as pool:
        conflicts = list(pool.map(run, works))
    monkeypatch.undo()
    winner = published_run(lake)
    assert conflicts["abc".index(winner[-1])] is None
    assert conflicts[3] is None
    assert published_run(lake, day=2) == "run_other"
    assert branches(lake) == {"main"}


@pytest.mark.slow
def test_the_loser_says_who_won_and_leaves_all_as_it_is(lake: Lake) -> None:
    winner, loser = runs(lake, 2)
    work = steps(loser)
    next(work)
    assert finish(steps(winner)) is None
    with pytest.raises(
        ConflictError, match=r"run run_a published the same \(day 1\) while .* the same command again"
    ) as caught:
        next(work)
    assert caught.value.exit_code == 5
    assert (published_run(lake), branches(lake)) == ("run_a", {"main"})
    assert finish(steps(loser)) is None
    assert published_run(lake) == "run_b"


@pytest.mark.slow
def test_steps_that_share_a_table_do_not_get_in_each_others_way(lake: Lake) -> None:
    clean, features = runs(lake, 2)
    things = Table("things", (Column("source", "string", nullable=False), Column("n", "int")), partition_by=("source",))
    with Audit(clean, "clean day 1") as one, Audit(features, "features day 1") as two:
        for audit, source in ((one, "planes"), (two, "features")):
            audit.write(things, lake.frame(things, [{"source": source, "n": 1}]), F.col("source") == source)
        one.publish()
        two.publish()
    assert sorted(row.source for row in lake.read("things").collect()) == ["features", "planes"]


@pytest.mark.slow
def test_intervals_published_at_once_all_land(lake: Lake) -> None:
    finish(steps(lake, 0))
    works = [steps(run, day) for day, run in enumerate(runs(lake, 5), start=1)]
    with ThreadPoolExecutor(len(works)) as pool:
        assert list(pool.map(finish, works)) == [None] * 5
    assert [published_run(lake, day) for day in range(6)] == ["run1", "run_a", "run_b", "run_c", "run_d", "run_e"]
    assert branches(lake) == {"main"}


@pytest.mark.slow
def test_when_others_do_not_stop_the_error_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "PUBLISH_ATTEMPTS", 1)
    work = steps(lake)
    next(work)
    finish(steps(Lake(lake.spark, lake.namespace, "run2"), day=2))
    with pytest.raises(ConflictError, match=r"apples: others keep publishing to it, run run2 last"):
        next(work)
    assert (published_run(lake, day=2), branches(lake)) == ("run2", {"main"})


@pytest.mark.slow
def test_rows_that_are_added_to_staged_ones_are_published_and_staged_anew_with_them(lake: Lake) -> None:
    table, other = TABLES[0], runs(lake, 2)[1]
    with Audit(lake, "day 1") as audit:
        assert audit.write(table, rows_of(lake, table, 1, 3), F.col("day") == 1) == 3
        assert audit.add(table, rows_of(lake, table, 1, 2)) == 2
        assert audit.add(table, rows_of(lake, table, 1, 0)) == 0
        assert lake.read(table.name).count() == 0
        finish(steps(other, day=2, tables=[table]))  # main moves on, and what is staged is staged anew
        audit.publish()
    counts = {row.day: row["count"] for row in lake.read(table.name).groupBy("day").count().collect()}
    assert counts == {1: 5, 2: 2}
    assert set(IcebergTable(lake.spark, lake.identifier(table.name)).references()) == {"main"}


def rows_of(lake: Lake, table: Table, day: int, count: int) -> DataFrame:
    """So many rows of a day."""
    return lake.frame(table, [{"day": day, "run": lake.run_id, "n": n} for n in range(count)])
