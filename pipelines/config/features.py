"""The section `features`: how rows become numbers."""

from __future__ import annotations

from collections.abc import Iterator
from keyword import iskeyword
from typing import Annotated

from pydantic import Field, model_validator

from pipelines.config.lengths import Length
from pipelines.config.splits import Split
from pipelines.config.sql import reaches_beyond
from pipelines.features.kinds.registry import KINDS, Declared
from pipelines.model import Model
from schemas.tables import IDENTIFIED

TABLE = (*(column.name for column in IDENTIFIED), "label")
NETWORK = ("numbers", "ids")
TENSORS = ("sequence", "image", "text")


class Windows(Model):
    """How rows form series.

    A row's window ends with itself, and its label lies in the steps after it. A window or horizon that a missing row interrupts
    is not bridged: such a row has no label.
    """

    by: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns that identify a series."""
    at: str
    """Column with the time of a row."""
    step_minutes: Annotated[float, Field(ge=1 / 60, le=366 * 24 * 60)]
    """Minutes from one row of a series to the next."""
    stride: Annotated[int, Field(ge=1)] = 1
    """One row in so many, counted by time, has a label. The others have none, and are only history."""
    label: str | None = None
    """Column whose next values are the label. Without it the label is the one that `features.derive` gives."""
    horizon: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Values of the label, one a step, the next one first. It counts only with `label`."""


class FeaturesConfig(Declared):
    """How rows become numbers: the source whose rows are the examples, the function that joins and derives, the split, and one
    declared spec of features.
    """

    rows_of: str
    """Source whose rows are the examples."""
    derive: str
    """Function, as `module:name`, that joins the clean tables and derives the columns of EXAMPLES."""
    parameters: dict[str, int | float | str] = {}
    """Values that this function receives by name, beside `timezone`, the pipeline's own."""
    split: Split
    """Which rows train, which validate, and which test."""
    windows: Windows | None = None
    """How rows form series. Features of `sequence` and labels with a horizon need it."""
    look_back: Length | None = None
    """How far before the window `derive` also receives events. Examples are those of the window alone. Needs event times."""
    predicted_at: str | None = None
    """Column with the time at which a row is predicted. Without it that is the examples' event time."""
    known_at: dict[str, str] = {}
    """By feature, the column with the time from which its value was known. A value known only after the prediction fails the
    run (exit 3).
    """
    proxy_auc: Annotated[float, Field(gt=0.5, le=1)] = 0.95
    """A feature that alone ranks the label with a higher AUC is named in a warning: it may be the label in disguise."""
    baselines: dict[str, str] = {}
    """By name, SQL over the examples' columns that predicts the label. It is evaluated beside the model."""

    @model_validator(mode="after")
    def _named_once(self) -> FeaturesConfig:
        names = [name for _, name, _ in self.declared]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"declared under two kinds: {', '.join(repeated)}")
        if not names:
            raise ValueError(f"no feature is declared; expected at least one under {', '.join(KINDS)}")
        columns = {column for _, name, feature in self.declared for column in feature.columns(name)}
        if invalid := sorted(name for name in {*names, *columns} if not name.isidentifier() or iskeyword(name)):
            raise ValueError(f"names that a model's inputs cannot have: {', '.join(invalid)}; expected letters, digits and _")
        if duplicates := sorted(self._names_used_twice()):
            raise ValueError(f"names that two have, or columns that two make: {', '.join(duplicates)}; rename one of both")
        if unknown := sorted(set(self.known_at) - set(names)):
            raise ValueError(f"known_at names no feature: {', '.join(unknown)}; expected some of {', '.join(names)}")
        if self.sequence and self.windows is None:
            raise ValueError("a sequence is declared, but not how rows are series; expected features.windows")
        if invalid := sorted(name for name in self.baselines if not name.isidentifier()):
            raise ValueError(f"baselines are named {', '.join(invalid)}; expected letters, digits and _")
        for name, sql in self.baselines.items():
            if reason := reaches_beyond(sql):
                raise ValueError(f"baselines.{name}: {reason}; expected SQL over the examples' columns alone")
        return self

    def _names_used_twice(self) -> Iterator[str]:
        """Each name that stands for two things, with both: of features and the columns that they make, what else is in their
        table, and the network's inputs. SQL takes upper and lower case as one.
        """
        owners = dict.fromkeys(TABLE, "a column of the features table")
        owners |= {f"baseline_{name}".lower(): f"baselines.{name}" for name in self.baselines}
        for kind, name, feature in self.declared:
            inputs = NETWORK if kind in TENSORS else ()
            for column in dict.fromkeys((name, *feature.output_columns(name))):
                other = owners.setdefault(column.lower(), f"{kind}.{name}")
                if column in inputs:
                    other = "an input of the network"
                if other != f"{kind}.{name}":
                    yield f"{column} ({other} and {kind}.{name})"
