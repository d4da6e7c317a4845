"""Expressions made of names and of lists: every name quoted, every fold balanced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import add, and_
from typing import TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

T = TypeVar("T")


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever characters are in it: in backticks, its own ones doubled."""
    return f"`{name.replace('`', '``')}`"


def col(name: str) -> Column:
    """The column of exactly this name. Spark's own `col` reads a dot as a field of a struct, and a backtick as a quote."""
    return F.col(quoted(name))


def cols(names: Iterable[str]) -> list[Column]:
    """The columns of these names, in their order."""
    return [col(name) for name in names]


def fold(combine: Callable[[T, T], T], values: Iterable[T]) -> T:
    """Combine neighbours, then the results, until one is left; raises ValueError when there is no value.

    What comes out is as deep as the logarithm of the number of values. `functools.reduce` makes a chain as deep as there are
    values, and Spark, which walks expressions and plans by recursion, ends some hundred levels down with a StackOverflowError.
    """
    level = list(values)
    if not level:
        raise ValueError("nothing to fold; expected at least one value")
    while len(level) > 1:
        pairs = [combine(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def all_of(conditions: Iterable[Column]) -> Column:
    """Whether all conditions are true; true when there is none. As in SQL, null where none is false and one is null."""
    return fold(and_, [*conditions] or [F.lit(True)])


def sum_of(values: Iterable[Column]) -> Column:
    """The sum of the values, of which there must be one."""
    return fold(add, values)


def any_sql(conditions: Iterable[str]) -> str:
    """SQL that is true where one of the conditions is; false when there is none.

    Not folded: of a chain of one operator Spark's parser makes a balanced expression itself, and what is nested in brackets
    takes it hundreds of times as long to read.
    """
    return " or ".join(f"({condition})" for condition in conditions) or "false"


def all_sql(conditions: Iterable[str]) -> str:
    """SQL that is true where all conditions are; true when there is none."""
    return " and ".join(f"({condition})" for condition in conditions) or "true"


def literal(text: str) -> str:
    """A text as SQL writes it. Spark would put a setting's value in the place of `${…}`, were the brace not escaped too."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\u0000").replace("${", "$\\{")
    return f"'{escaped}'"


def number(value: float) -> str:
    """A number as SQL writes it: a whole one of its own size, any other in double precision."""
    return str(value) if isinstance(value, int) else f"double('{value!r}')"


def union_of(frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of all frames, columns matched by name; there must be one frame."""
    return fold(DataFrame.unionByName, frames)
