"""Count what each split of the examples holds, and check it before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from pipelines.config import Pipeline, Regression, Task
from pipelines.errors import DataError
from pipelines.expressions import col
from pipelines.features import leakage as leaks
from pipelines.features.fit import LabelMoments
from pipelines.runtime.checks import examples_contract
from pipelines.stages.split_checks import SplitCounts
from pipelines.stages.splits import SPLITS

ROWS, CLASS, FIRST, LAST = "rows", "class", "first", "last"
UNLABELLED, WRONG, SMALL, LABELS = "unlabelled", "wrong", "small", "labels"


class SplitFacts(NamedTuple):
    """What is known of a split: its counts, its labels where they are numbers, how many labels are none of the task's, how many
    are too small for its transform, and how many values of each feature were known too late.
    """

    counts: SplitCounts
    labels: LabelMoments | None
    wrong: int
    small: int
    late: Mapping[str, int]


def _class_of(task: Task) -> Column:
    """The class of a row by its label, null where the task has no classes or the label is none of them."""
    label = F.col("label")
    return F.lit(None).cast("int") if isinstance(task, Regression) else F.when(_is_class(task, label), label).cast("int")


def _span(config: Pipeline) -> list[Column]:
    """Aggregates: the event times of the first and the last labelled row, in microseconds since 1970."""
    event_time = examples_contract(config).event_time
    at = F.unix_micros(col(event_time)) if event_time else F.lit(None).cast("bigint")
    labelled = F.when(F.col("label").isNotNull(), at)
    return [F.min(labelled).alias(FIRST), F.max(labelled).alias(LAST)]


def counts_of(rows: list[Row], zone: str) -> dict[str, SplitCounts]:
    """The counts of each split, of rows by split and class with `ROWS` and the span."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.split, []).append(row)
    return {
        split: SplitCounts(
            rows=sum(row[ROWS] for row in of),
            classes={row[CLASS]: row[ROWS] for row in of if row[CLASS] is not None},
            first=_at(min((row[FIRST] for row in of if row[FIRST] is not None), default=None), zone),
            last=_at(max((row[LAST] for row in of if row[LAST] is not None), default=None), zone),
        )
        for split, of in grouped.items()
    }


def count_splits(config: Pipeline, rows: DataFrame) -> dict[str, SplitFacts]:
    """Count the examples of each split in one pass; a split without a name counts as `None`."""
    features, task, label = config.features, config.task, F.col("label")
    split = F.coalesce(F.col("split"), F.lit(str(None))).alias("split")
    aggregates = [
        F.count("label").alias(ROWS),
        F.count_if(label.isNull()).alias(UNLABELLED),
        F.count_if(_any(config, label, _not_finite) if isinstance(task, Regression) else ~_is_class(task, label)).alias(WRONG),
        F.count_if(_any(config, label, _without_log1p) if _takes_log1p(task) else F.lit(False)).alias(SMALL),
        *_span(config),
        *leaks.late_counts(features.known_at, features.predicted_at or str(examples_contract(config).event_time)),
        *([_moments(config).alias(LABELS)] if isinstance(task, Regression) else []),
    ]
    grouped = rows.groupBy(split, _class_of(task).alias(CLASS)).agg(*aggregates).collect()
    facts = {}
    for name, counted in counts_of(grouped, config.timezone).items():
        of = [row for row in grouped if row.split == name]
        labels = LabelMoments(*of[0][LABELS]) if isinstance(task, Regression) else None
        deviation = labels.deviation if labels else None
        counts = counted._replace(unlabelled=sum(row[UNLABELLED] for row in of), deviation=deviation)
        late = {feature: sum(row[leaks.late_name(feature)] for row in of) for feature in features.known_at}
        facts[name] = SplitFacts(counts, labels, sum(row[WRONG] for row in of), sum(row[SMALL] for row in of), late)
    return facts


def count_features(config: Pipeline, features: DataFrame, *more: Column) -> list[Row]:
    """Rows of the features table by split and class, for `counts_of`, with more aggregates of each."""
    grouped = features.groupBy("split", _class_of(config.task).alias(CLASS))
    return grouped.agg(F.count("label").alias(ROWS), *_span(config), *more).collect()


def check_names(facts: Mapping[str, SplitFacts]) -> None:
    """Raise DataError when rows have a split that is none."""
    if strange := sorted(name for name in facts if name not in SPLITS):
        raise DataError(
            f"features.split: rows with the split {', '.join(strange)}; expected {', '.join(SPLITS)} alone. Fix the column, "
            f"or how it is derived."
        )


def check_known(config: Pipeline, facts: Mapping[str, SplitFacts]) -> None:
    """Raise DataError when values were known only after they were to be used."""
    known_at = config.features.known_at
    counts = {name: sum(of.late[name] for of in facts.values()) for name in known_at}
    late = [f"{name} of {rows:,} rows ({known_at[name]})" for name, rows in counts.items() if rows]
    if late:
        raise DataError(
            f"features.known_at: values were known only after they were to be used: {', '.join(late)}. Derive them from what "
            f"was known before, or leave them out."
        )


def check_labels(config: Pipeline, facts: Mapping[str, SplitFacts]) -> None:
    """Raise DataError when labels are no class, no finite numbers, or have no logarithm that the task takes."""
    task, wrong, small = config.task, sum(of.wrong for of in facts.values()), sum(of.small for of in facts.values())
    if wrong and not isinstance(task, Regression):
        raise DataError(
            f"features: {wrong:,} rows have a label that is no class; expected whole numbers from 0 to "
            f"{len(task.classes) - 1}, the position in task.classes. Fix how it is derived, or task."
        )
    if wrong:
        raise DataError(
            f"features: {wrong:,} rows have a label that is NaN or infinite (as a 32-bit float); expected finite numbers. Fix "
            f"how it is derived, or leave it out (null) where there is none."
        )
    if small:
        windows = config.features.windows
        column = windows.label if windows and windows.label else "label"
        lowest = min(of.labels.minimum for of in facts.values() if of.labels and of.labels.minimum is not None)
        raise DataError(
            f"task.transform: log1p of the column {column}, which is at or below -1 (as a 32-bit float) in {small:,} rows, "
            f"down to {lowest:g}; expected more than -1 in every labelled row. Derive another label, leave it out (null) in "
            f"these rows, or set task.transform: none."
        )


def _takes_log1p(task: Task) -> bool:
    return isinstance(task, Regression) and task.transform == "log1p"


def _any(config: Pipeline, label: Column, holds: Callable[[Column], Column]) -> Column:
    """Whether something holds for a label, or for any step of its horizon."""
    return F.exists(label, holds) if config.horizon else holds(label)


def _is_class(task: Task, label: Column) -> Column:
    assert not isinstance(task, Regression)
    return (label >= 0) & (label < len(task.classes)) & (label == F.floor(label))


def _not_finite(label: Column) -> Column:
    """Whether a number is none that a float holds."""
    return label.isNotNull() & _finite(label.cast("float")).isNull()


def _finite(value: Column) -> Column:
    """A number, missing where it is NaN or infinite: less itself, neither is 0."""
    return F.when(value - value == 0, value)


def _without_log1p(label: Column) -> Column:
    return label.cast("float") <= -1


def _moments(config: Pipeline) -> Column:
    """`LabelMoments`; of a horizon mean and deviation are its first step's, so that each moment of a series counts once."""
    label = F.col("label")
    value = (F.get(label, F.lit(0)) if config.horizon else label).cast("double")
    low, high = (F.array_min(label), F.array_max(label)) if config.horizon else (label, label)
    scaled = F.log1p(value) if _takes_log1p(config.task) else value
    # As the features table and the network have them: 32-bit floats.
    bounds = (F.min(low).cast("float").cast("double"), F.max(high).cast("float").cast("double"))
    values = (F.avg(scaled), F.stddev_pop(scaled), *bounds)
    return F.struct(*(value.alias(name) for value, name in zip(values, LabelMoments._fields, strict=True)))


def _at(micros: int | None, zone: str) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, ZoneInfo(zone))
