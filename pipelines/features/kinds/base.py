"""What every kind of feature is: settings that are declared, a fitted feature, and how it is applied to rows.

A fitted feature is applied by one function, `apply`: to arrays of NumPy in Spark's tasks, and to tensors of Keras in the
exported model. It is written against the functions that `numpy` and `keras.ops` share, and against `Rows` for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Profiles, Request, Stats, Train, presence
from pipelines.model import Model
from schemas.contract import ColumnType

NUMBERS = ("int", "bigint", "float", "double", "boolean")
WORDS = ("string",)
UNKNOWN_ID = 0
PART = "\x1f"  # between the words that are crossed; a word that holds it is missing there
UNKNOWN_WORD = "\ufffe"  # what Keras calls the unknown; no character, so no word of any text


class Raw(NamedTuple):
    """A raw value as a model takes it: float64 with NaN, or string with "", where it is missing; with a `length` as many.

    Of a time it is the seconds since 1970; of a series `of` is the column whose values it has.
    """

    dtype: Literal["float64", "string"]
    length: int | None = None
    is_time: bool = False
    of: str | None = None

    @property
    def type(self) -> str:
        """The SQL type of one value."""
        return "timestamp" if self.is_time else {"float64": "double", "string": "string"}[self.dtype]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's value."""
        return () if self.length is None else (self.length,)


WORD = Raw("string")


class Tensor(NamedTuple):
    """An input of the network beside numbers and ids: arrays (of one shape, a column of `columns` each) side by side.

    `kind` says what stands over it: a sequence (length, columns), an image (height, width, channels), or a text (length,) of
    ids below `size`.
    """

    kind: Literal["sequence", "image", "text"]
    name: str
    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Literal["float32", "int32"]
    size: int = 0


class Block(NamedTuple):
    """Columns of the features table with their values: of one column (rows, …), of several side by side (rows, columns)."""

    names: tuple[str, ...]
    values: Array


class Fitted(Model, allow_inf_nan=True):
    """A fitted feature: what was learnt on the train split, what it is made of, what it becomes, and how."""

    name: str
    differs_in_train: ClassVar[bool] = False  # whether rows of the train split have another value than a served row

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The word by which a stored feature says what it is; a field of each kind, with a default."""

    @property
    def inputs(self) -> dict[str, Raw]:
        """The raw values that the feature is made of: by default the number of its name."""
        return {self.name: Raw("float64")}

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers that the feature becomes."""
        return ()

    @property
    def ids(self) -> dict[str, int]:
        """The columns of ids that the feature becomes, each with how many ids there are."""
        return {}

    @property
    def array(self) -> ColumnType | None:
        """The type of the one column of arrays that the feature becomes, if it does."""
        return None

    @property
    def tensor(self) -> Tensor | None:
        """The input of the network that its array is, or is a part of; parts have the same name and lie side by side."""
        return None

    @property
    def outputs(self) -> tuple[str, ...]:
        """All columns that the feature becomes."""
        return (*self.numbers, *self.ids, *((self.name,) if self.array else ()))

    @property
    def words(self) -> tuple[str, ...] | None:
        """The words that the feature knows; None where it takes any."""
        return ()

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The words, of those that its statistics count, by whose shares it is told whether rows have moved."""
        return None

    def statistics(self) -> Request:
        """What other rows are asked, to be held against train: by default whether there is a value."""
        return presence(self.name)

    def stats(self, profiles: Profiles) -> Stats:
        """What is known of the feature on rows with these profiles of `statistics`."""
        return Stats.of(profiles.rows, profiles.of(self.name), self.groups)

    @property
    def imputed(self) -> float | None:
        """What stands in for a missing number, in its own unit, where the feature is a scaled number."""
        return None

    @property
    def labels(self) -> list[str]:
        """What each id stands for, for readers; none where the feature's values do not slice rows."""
        return []

    def apply(self, rows: Rows) -> dict[str, Array]:
        """The feature's columns of some rows: numbers (rows,) in float64, ids (rows,), an array (rows, …)."""
        raise NotImplementedError

    @classmethod
    def blocks(cls, features: Sequence[Self], rows: Rows) -> Iterator[Block]:
        """The columns of several features of this kind, one by one; a kind may do some side by side."""
        for feature in features:
            for name, values in feature.apply(rows).items():
                yield Block((name,), values)


class Kind(Model):
    """The settings of a feature of one kind. `types`: the SQL types that its columns may have; `fitted`: what it is fitted to.

    `sliceable` says that metrics may be told apart by its values.
    """

    types: ClassVar[tuple[str, ...]]
    fitted: ClassVar[type[Fitted]]
    sliceable: ClassVar[bool] = False

    def columns(self, name: str) -> tuple[str, ...]:
        """The examples' columns that a feature of this name is made of: by default the one of its name."""
        return (name,)

    def output_columns(self, name: str) -> tuple[str, ...]:
        """The columns that a feature of this name becomes: by default the one of its name."""
        return (name,)

    def statistics(self, name: str) -> Iterator[Request]:
        """What is asked of the rows of each split; `fit` has the answers of train."""
        raise NotImplementedError

    def leak(self, name: str) -> Request | None:
        """What is asked of the rows of each class, to find out whether the feature alone tells the label; None: nothing."""
        return None

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        """The fitted feature, or features, with what is known of each; raises DataError where train has no such feature."""
        raise NotImplementedError
