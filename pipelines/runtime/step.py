"""A job of the pipeline as data: what it reads, its work, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column

from pipelines.cleaning.accounting import Account
from pipelines.config import Interval, Pipeline
from pipelines.runtime.batches import Batch
from pipelines.runtime.context import Context


@dataclass(frozen=True)
class Outcome:
    """What a step did: rows accounted for, snapshots published, and files by name."""

    accounts: tuple[Account, ...] = ()
    outputs: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bulk:
    """How a step does many intervals in one pass: whether it can, what each one's inputs are, and its work.

    `sizes` gives how many rows each interval has, where these have to be held; a batch has `most_rows` of them at most.
    """

    is_possible: Callable[[Context], bool]
    inputs: Callable[[Context, Sequence[Interval]], dict[Interval, dict[str, str]]]
    work: Callable[[Batch], dict[Interval, Outcome]]
    sizes: Callable[[Context, Sequence[Interval]], dict[Interval, int]] | None = None
    most_rows: int = 0


Late = Callable[[Context, Column | None, Sequence[Interval]], list[Interval]]


@dataclass(frozen=True)
class Step:
    """A job of the pipeline: the configuration sections that shape its result, what it reads, and its work.

    `check` raises ConfigError for what is wrong and known before Spark starts, where the step has more of it than others.
    `derives` says whether it works by the pipeline's own derivation (`features.derive`).
    """

    name: str
    sections: tuple[str, ...]
    inputs: Callable[[Context], dict[str, str]]
    work: Callable[[Context], Outcome]
    check: Callable[[Pipeline, Interval], None] | None = None
    own_progress: bool = False
    """Whether it shows itself how far it is, as training does; otherwise Spark's tasks are shown."""
    derives: bool = False
    late: Late | None = None
    """Gives the intervals, done before, that it has to do again, since rows came late for them."""
    outdates: bool = False
    """Whether what was made of its interval is stale once it has run, as after clean and replay."""
    reads: tuple[str, ...] = ()
    """The tables that lineage names as its inputs. `raw_*` and `clean_*` stand for each source's table, `sources` for the
    sources themselves.
    """


@dataclass(frozen=True)
class BulkStep(Step):
    """A step that can also do many intervals in one pass."""

    bulk: Bulk = field(kw_only=True)
