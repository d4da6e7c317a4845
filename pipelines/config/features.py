"""The section `features`: how rows become numbers."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from keyword import iskeyword
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.config.base import Model

Imputer = Literal["mean", "median"] | float
MOST_EDGES = 64
KINDS = ("numeric", "boolean", "ordinal", "cyclic", "bucketized", "categorical", "crossed")
Scaler = Literal["zscore", "minmax", "robust", "none"]


class Numeric(Model):
    """A number: what stands in for a missing one, an optional log1p or clip first, how it is scaled.

    With an indicator a second column, `<name>_missing`, is 1 where the number was missing, else 0.
    """

    impute: Imputer = "median"
    clip: tuple[float, float] | None = None
    log1p: bool = False
    scale: Scaler = "zscore"
    indicator: bool = False


class Categorical(Model):
    """A word: ids by frequency, 0 for the unknown; rarer than `min_count` in the train split is unknown too."""

    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Boolean(Model):
    """True or false, as 1 or 0: what a missing one is taken for, and optionally an indicator of the missing."""

    impute: bool = False
    indicator: bool = False


class Ordinal(Model):
    """A word of a declared order, as a number from 0 (the first) to 1 (the last), in equal steps; a missing or unknown word is
    the train split's median.
    """

    order: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _each_once(self) -> Ordinal:
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a word twice")
        return self


class Crossed(Model):
    """Words of several columns together as one word; it is missing where one of them is."""

    of: Annotated[tuple[str, ...], Field(min_length=2)]
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Cyclic(Model):
    """A number that comes round again every `period`: its sine and cosine."""

    period: Annotated[float, Field(gt=0)]


class Bucketized(Model):
    """A number by the bucket that it falls in: ids from 1, cut at `edges` (an edge is of the bucket above), 0 if missing."""

    edges: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1, max_length=MOST_EDGES)]

    @model_validator(mode="after")
    def _ascending(self) -> Bucketized:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must ascend, none twice")
        return self


class TimeSplit(Model):
    """Train before `validation_from`, validation before `test_from`, test from there on."""

    by: Literal["time"] = "time"
    validation_from: date
    test_from: date

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        if self.validation_from >= self.test_from:
            raise ValueError(f"validation_from ({self.validation_from}) must be before test_from ({self.test_from})")
        return self

    def __str__(self) -> str:
        return f"by time: validation from {self.validation_from}, test from {self.test_from}"


class EntitySplit(Model):
    """All rows of one entity are in one split: which, a hash of its key columns says. Shares are of the entities."""

    by: Literal["entity"]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: int = 0

    @model_validator(mode="after")
    def _some_left(self) -> EntitySplit:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation ({self.validation}) and test ({self.test}) leave nothing to train on")
        return self

    def __str__(self) -> str:
        return f"by {', '.join(self.columns)}: {self.validation:.0%} of them validation, {self.test:.0%} test"


class ColumnSplit(Model):
    """A column of the examples says it: train, validation or test."""

    by: Literal["column"]
    column: str

    def __str__(self) -> str:
        return f"by the column {self.column}"


def _split_by(given: object) -> str:
    return str(given.get("by", "time") if isinstance(given, dict) else getattr(given, "by", "time"))


Split = Annotated[
    Annotated[TimeSplit, Tag("time")] | Annotated[EntitySplit, Tag("entity")] | Annotated[ColumnSplit, Tag("column")],
    Discriminator(_split_by),
]


class FeaturesConfig(Model):
    """How rows become numbers: the source whose rows are the examples, the function that joins and derives, the split, and
    one declared spec of features.

    `known_at` names, for a feature, the column with the time from which its value was known: a row whose value was known only
    after it was to be used (`predicted_at`, by default the examples' event time) fails the run. A feature that alone ranks the
    label with an AUC above `proxy_auc` is named in a warning: it may be the label in disguise.
    """

    rows_of: str
    derive: str
    parameters: dict[str, int | float | str] = {}
    split: Split
    predicted_at: str | None = None
    known_at: dict[str, str] = {}
    proxy_auc: Annotated[float, Field(gt=0.5, le=1)] = 0.95
    numeric: dict[str, Numeric] = {}
    boolean: dict[str, Boolean] = {}
    ordinal: dict[str, Ordinal] = {}
    categorical: dict[str, Categorical] = {}
    crossed: dict[str, Crossed] = {}
    cyclic: dict[str, Cyclic] = {}
    bucketized: dict[str, Bucketized] = {}

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns that are crossed."""
        return tuple(dict.fromkeys(part for crossed in self.crossed.values() for part in crossed.of))

    @model_validator(mode="after")
    def _named_once(self) -> FeaturesConfig:
        names = [name for kind in KINDS for name in getattr(self, kind)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"declared under two kinds: {', '.join(repeated)}")
        if not names:
            raise ValueError(f"no feature is declared; expected at least one under {', '.join(KINDS)}")
        if wrong := sorted(name for name in [*names, *self.parts] if not name.isidentifier() or iskeyword(name)):
            raise ValueError(f"names that a model's inputs cannot have: {', '.join(wrong)}; expected letters, digits and _")
        made = [f"{name}_missing" for name, one in (self.numeric | self.boolean).items() if one.indicator]
        made += [f"{name}_{part}" for name in self.cyclic for part in ("sin", "cos")]
        if taken := sorted(set(made) & set(names)):
            raise ValueError(f"a feature is named as a column that another one makes: {', '.join(taken)}; rename it")
        if unknown := sorted(set(self.known_at) - set(names)):
            raise ValueError(f"known_at names no feature: {', '.join(unknown)}; expected some of {', '.join(names)}")
        return self
