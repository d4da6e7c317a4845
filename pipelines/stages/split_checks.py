"""What each split holds, and whether a model can be trained and evaluated on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from pipelines.config import Binary, ColumnSplit, EntitySplit, Multiclass, Regression, Task, TimeSplit
from pipelines.errors import DataError
from pipelines.stages.splits import SPLITS

SHOWN = 5  # classes that a message names


class SplitCounts(NamedTuple):
    """The labelled rows of a split: how many, how many of each class (by label, of a task of classes), the event times of the
    first and the last one, and how many rows beside them have no label. `deviation` is that of a regression's labels.
    """

    rows: int = 0
    classes: Mapping[int, int] = {}
    first: datetime | None = None
    last: datetime | None = None
    unlabelled: int = 0
    deviation: float | None = None


def check_splits(
    counts: Mapping[str, SplitCounts], task: Task, split: TimeSplit | EntitySplit | ColumnSplit, step: str
) -> None:
    """Raise DataError when a split has no labelled row, or lacks the classes without which a model can't be trained (train) or
    its metrics can't be computed (validation and test of a binary task, of which AUC is undefined on one class).

    The error names the split, the rows of each split by class, their span, and the setting to change.
    """
    if empty := [name for name in SPLITS if not counts.get(name, SplitCounts()).rows]:
        problem = f"the {' and the '.join(empty)} split has no labelled row; expected some in each of {', '.join(SPLITS)}."
    elif single := [name for name in SPLITS if _needs_classes(name, task) and len(counts[name].classes) < 2]:
        trained = "nothing can be learnt from" if "train" in single else "AUC and a threshold are undefined on"
        problem = (
            f"the {' and the '.join(single)} split has rows of one class only, and {trained} one class; expected rows of "
            f"{'both' if isinstance(task, Binary) else 'several'} classes in it."
        )
    else:
        return
    received = "; ".join(f"{name} {describe(counts.get(name, SplitCounts()), task)}" for name in SPLITS)
    raise DataError(f"{step}: {problem} Received: {received}. {_advice(split)}")


def split_warnings(counts: Mapping[str, SplitCounts], task: Task) -> list[str]:
    """A sentence for whatever limits the metrics of checked splits, or what a model can learn from them."""
    warnings = []
    if isinstance(task, Regression):
        constant = [name for name in SPLITS[1:] if counts[name].deviation == 0]
        warnings += [f"the labels of the {name} split are all the same, so its r2 is undefined" for name in constant]
    if isinstance(task, Multiclass):
        if unseen := [name for label, name in enumerate(task.classes) if label not in counts["train"].classes]:
            warnings.append(f"the train split has no row of {listed(unseen)}, so the model never learns to predict them")
        for name in SPLITS[1:]:
            if len(counts[name].classes) < 2:
                warnings.append(f"the {name} split has rows of one class only ({describe(counts[name], task)})")
    return warnings


def describe(counts: SplitCounts, task: Task) -> str:
    """The rows of a split, by class, with their span."""
    if not counts.rows:
        return f"0 labelled rows and {counts.unlabelled:,} without a label" if counts.unlabelled else "0 rows"
    parts = []
    if not isinstance(task, Regression):
        parts.append(listed([f"{task.classes[label]}: {rows:,}" for label, rows in sorted(counts.classes.items())]))
    if counts.first is not None and counts.last is not None:
        parts.append(f"from {counts.first:%Y-%m-%d %H:%M} to {counts.last:%Y-%m-%d %H:%M}")
    return f"{counts.rows:,} rows ({', '.join(parts)})" if parts else f"{counts.rows:,} rows"


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _needs_classes(split: str, task: Task) -> bool:
    """Whether a split of one class is an error. Accuracy and log loss of several classes are defined on one of them."""
    return isinstance(task, Binary) or (isinstance(task, Multiclass) and split == "train")


def _advice(split: TimeSplit | EntitySplit | ColumnSplit) -> str:
    if isinstance(split, TimeSplit) and split.is_relative:
        return (
            f"Change features.split.validation ({split.validation}) or test ({split.test}), or check how labels are derived "
            f"and whether the window is long enough."
        )
    if isinstance(split, TimeSplit):
        return (
            f"Move features.split.validation_from ({split.validation_from}) or test_from ({split.test_from}), or check how "
            f"labels are derived and whether the interval reaches that far."
        )
    if isinstance(split, EntitySplit):
        return (
            f"Give features.split another seed ({split.seed}) or larger shares (validation {split.validation:g}, test "
            f"{split.test:g}), or check how labels are derived."
        )
    return f"Change the column {split.column}, by which rows are split (features.split), or check how labels are derived."
