"""True or false, as a number."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.features.kinds.base import Fitted, Kind
from pipelines.features.kinds.numeric import FittedNumeric, Numeric, number_columns
from pipelines.features.kinds.statistics import Request, Stats, Train


class Boolean(Kind):
    """True or false, as 1 or 0."""

    types = ("boolean",)
    fitted = FittedNumeric
    impute: bool = False
    """What a missing value becomes."""
    indicator: bool = False
    """Whether a second column, `<name>_missing`, is 1 where the value was missing, else 0."""

    def output_columns(self, name: str) -> tuple[str, ...]:
        return number_columns(name, self.indicator)

    def statistics(self, name: str) -> Iterator[Request]:
        return self._number.statistics(name)

    def leak(self, name: str) -> Request:
        return self._number.leak(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        return self._number.fit(name, train)

    @property
    def _number(self) -> Numeric:
        """The number that it is, as which it is fitted."""
        return Numeric(impute=float(self.impute), scale="none", indicator=self.indicator)
