"""Versions and their aliases through time."""

from __future__ import annotations

import pytest

from pipelines.errors import DataError, QualityError
from pipelines.registry.versions import (
    ModelVersion,
    current,
    holder,
    known_version,
    next_version,
    previous_champion,
    with_alias,
)
from tests.pipelines.registry.versions import change, day, history, version


def aliases(rows: list[ModelVersion]) -> dict[int, str | None]:
    """The aliases that hold now, by version."""
    return {row.version: row.alias for row in current(rows)}


def test_a_row_is_read_back_as_the_version_that_it_came_from() -> None:
    one = version(1, alias="champion", reasons=("a", "b"), metrics={"auc": 0.1 + 0.2})
    assert ModelVersion.of(one.row) == one


def test_an_alias_moves_and_both_versions_keep_their_past() -> None:
    rows = history(version(1, alias="champion"), version(2, alias="challenger"))
    moved = with_alias(rows, 2, "champion", change(3))
    assert aliases(moved) == {1: None, 2: "champion"}
    spans = [(row.version, row.alias, row.valid_from, row.valid_to, row.change, row.changed_by) for row in moved]
    assert sorted(spans, key=lambda span: (span[0], span[2])) == [
        (1, "champion", day(1), day(3), "published", "jobs/publish.py"),
        (1, None, day(3), None, "replaced", "ann"),
        (2, "challenger", day(2), day(3), "published", "jobs/publish.py"),
        (2, "champion", day(3), None, "promoted", "ann"),
    ]


def test_a_new_challenger_takes_the_alias_from_the_one_before() -> None:
    rows = history(version(1, alias="champion"), version(2, alias="challenger"), version(3, alias="challenger"))
    assert aliases(rows) == {1: "champion", 2: None, 3: "challenger"}
    assert next_version(rows) == 4


def test_changes_are_in_order_when_clocks_are_not() -> None:
    rows = with_alias(history(version(1, alias="champion"), version(5)), 5, "champion", change(2))
    spans = [(row.valid_from, row.valid_to) for row in rows]
    assert all(end is None or start < end for start, end in spans)


def test_rollbacks_go_back_one_champion_at_a_time() -> None:
    rows = history(version(1, alias="champion"), version(2), version(3))
    for number, promoted in ((4, 2), (5, 3), (6, 1)):
        rows = with_alias(rows, promoted, "champion", change(number))
    returned = []
    for number in (7, 8, 9):
        returned.append(previous_champion(rows))
        rows = with_alias(rows, returned[-1], "champion", change(number, "rolled_back"))
    assert returned == [3, 2, 1]
    with pytest.raises(DataError, match=r"rollback: no champion came before version 1"):
        previous_champion(rows)


def test_after_a_rollback_and_a_promotion_the_bad_version_is_not_returned_to() -> None:
    rows = history(version(1, alias="champion"), version(2), version(3))
    rows = with_alias(rows, 2, "champion", change(4))
    rows = with_alias(rows, 1, "champion", change(5, "rolled_back"))
    rows = with_alias(rows, 3, "champion", change(6))
    assert previous_champion(rows) == 1


def test_what_is_not_registered_or_was_refused_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no version 1; the registry is empty\. Run jobs/publish\.py first"):
        known_version([], 1)
    with pytest.raises(DataError, match=r"no model has the alias champion\. Run jobs/publish\.py"):
        previous_champion([])
    rows = history(version(1), version(2, state="refused", reasons=("auc is 0.5", "drift")))
    with pytest.raises(DataError, match="no version 7; registered are 1, 2"):
        with_alias(rows, 7, "champion", change(3))
    with pytest.raises(QualityError, match=r"version 2 was refused by its gate and is not used: auc is 0\.5; drift"):
        with_alias(rows, 2, "champion", change(3))
    assert holder(rows, "champion") is None
