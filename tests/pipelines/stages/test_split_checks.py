"""Splits without rows or with one class, by task and by how rows are split; none of it needs Spark."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from pipelines.config import Binary, ColumnSplit, EntitySplit, Multiclass, Regression, Task, TimeSplit
from pipelines.errors import DataError
from pipelines.stages.split_checks import SplitCounts, check_splits, split_warnings

BINARY = Binary(classes=("on time", "late"))
LETTERS = Multiclass(kind="multiclass", classes=("a", "b", "c"))
NUMBER = Regression(kind="regression")
BY_COLUMN = ColumnSplit(by="column", column="part")
BY_TIME = TimeSplit(validation_from=date(2020, 3, 1), test_from=date(2020, 4, 1))
BY_KEY = EntitySplit(by="entity", columns=("id",), validation=0.05, test=0.2, seed=7)


def counts(**classes: Any) -> dict[str, SplitCounts]:
    """Splits by their rows of each class, or by their rows alone."""
    return {
        name: SplitCounts(given) if isinstance(given, int) else SplitCounts(sum(given.values()), given)
        for name, given in classes.items()
    }


BOTH = {0: 15, 1: 5}
GOOD = counts(train=BOTH, validation=BOTH, test=BOTH)


@pytest.mark.parametrize(
    ("task", "wrong", "expected"),
    [
        (BINARY, {"validation": {0: 20}}, "features: the validation split has rows of one class only, and AUC and a threshold"),
        (
            BINARY,
            {"test": {1: 3}},
            r"the test split has rows .*validation 20 rows \(on time: 15, late: 5\); test 3 rows \(late",
        ),
        (BINARY, {"train": {1: 9}}, "the train split has rows of one class only, and nothing can be learnt from one class"),
        (BINARY, {"validation": {0: 2}, "test": {0: 1}}, "the validation and the test split has rows of one class only"),
        (BINARY, {"validation": 0}, r"the validation split has no labelled row; expected some .*; validation 0 rows; test 20"),
        (LETTERS, {"train": {2: 9}}, "the train split has rows of one class only, .* expected rows of several classes"),
        (NUMBER, {"test": 0}, "the test split has no labelled row"),
    ],
)
def test_a_split_without_rows_or_of_one_class_is_refused(task: Task, wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        check_splits({**GOOD, **counts(**wrong)}, task, BY_COLUMN, "features")
    assert caught.value.exit_code == 3
    assert "Change the column part, by which rows are split" in str(caught.value)


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (BY_TIME, r"Move features\.split\.validation_from \(2020-03-01\) or test_from \(2020-04-01\)"),
        (BY_KEY, r"Give features\.split another seed \(7\) or larger shares \(validation 0\.05, test 0\.2\)"),
    ],
)
def test_the_error_says_the_span_of_each_split_and_what_to_change(split: Any, expected: str) -> None:
    early, late = datetime(2020, 3, 1, 6, 30, tzinfo=UTC), datetime(2020, 3, 31, tzinfo=UTC)
    wrong = {"validation": SplitCounts(20, {0: 20}, early, late)}
    with pytest.raises(DataError, match=expected) as caught:
        check_splits({**GOOD, **wrong}, BINARY, split, "train")
    assert "validation 20 rows (on time: 20, from 2020-03-01 06:30 to 2020-03-31 00:00)" in str(caught.value)
    with pytest.raises(DataError, match="validation 0 labelled rows and 12 without a label"):
        check_splits({**GOOD, "validation": SplitCounts(unlabelled=12)}, BINARY, split, "train")


@pytest.mark.parametrize(
    ("task", "splits", "expected"),
    [
        (BINARY, GOOD, []),
        (NUMBER, counts(train=5, validation=5, test=5), []),
        (LETTERS, counts(train={0: 1, 1: 1, 2: 1}, validation={0: 2, 2: 1}, test={1: 1, 0: 1}), []),
        (
            LETTERS,
            counts(train={0: 1, 1: 1}, validation={2: 3}, test={0: 1, 1: 1}),
            [
                "the train split has no row of c, so the model never learns to predict them",
                "the validation split has rows of one class only (3 rows (c: 3))",
            ],
        ),
        (
            NUMBER,
            {name: SplitCounts(5, deviation=of) for name, of in (("train", 1.0), ("validation", 2.0), ("test", 0.0))},
            ["the labels of the test split are all the same, so its r2 is undefined"],
        ),
    ],
)
def test_what_only_limits_metrics_is_a_warning(task: Task, splits: dict[str, SplitCounts], expected: list[str]) -> None:
    check_splits(splits, task, BY_COLUMN, "features")
    assert split_warnings(splits, task) == expected
