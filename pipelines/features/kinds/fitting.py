"""How numbers are fitted: what stands in for a missing one, and the offset and scale of the others."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.errors import DataError
from pipelines.features.kinds.scaling import Scaling, bent
from pipelines.features.kinds.statistics import FIRST, MEDIAN, THIRD, ColumnProfile, Request, Stats, TableRows, Train, number

if TYPE_CHECKING:
    from pipelines.features.kinds.numeric import Numeric

FLAT = 1e-14  # a deviation of at most this share of the mean is rounding, not variance


def scaled_number(name: str, column: str, scaling: Numeric | Scaling) -> Request:
    """A number as it is once clipped and taken the logarithm of, before it is scaled."""
    if not bends(scaling):
        return number(name, column)
    return Request(name, "number", (column,), partial(_bent, column=column, scaling=scaling))


def bends(scaling: Numeric | Scaling) -> bool:
    """Whether statistics are of other values than the raw ones."""
    return scaling.clip is not None or scaling.log1p


def raw_name(name: str) -> str:
    """The profile of a number's raw values, where its own is of others: what stands in for a missing one is in its own unit."""
    return f"{name} raw"


def _bent(rows: TableRows, column: str, scaling: Any) -> Any:
    return bent(rows.numbers([column])[0], [scaling], rows.ops)


def fit_numeric(name: str, numeric: Numeric, train: Train) -> tuple[Scaling, Stats]:
    """The scaling of a number, and its statistics; raises DataError when it does not vary, or is too large to be scaled."""
    profile = train.number(name)
    raw = train.number(raw_name(name)) if bends(numeric) else profile
    fill = {"mean": raw.mean, "median": _median(raw)}[numeric.impute] if isinstance(numeric.impute, str) else numeric.impute
    stats = _with_imputed(_transformed_fill(name, fill, numeric), train.rows, profile)
    offset, scale = _scaling(name, numeric, stats)
    if not all(map(math.isfinite, (fill, offset, scale))):
        raise DataError(
            f"features.numeric.{name}: its values, from {stats.minimum:g} to {stats.maximum:g}, are too large to be scaled by "
            f"{numeric.scale} (offset {offset:g}, scale {scale:g}, a missing one is {fill:g}); expected finite numbers. Clip "
            f"them, or derive the feature in a larger unit."
        )
    return Scaling(fill=fill, clip=numeric.clip, log1p=numeric.log1p, offset=offset, scale=scale), stats


def _median(profile: ColumnProfile) -> float:
    assert profile.percentiles is not None
    return profile.percentiles[MEDIAN]


def _transformed_fill(name: str, fill: float, numeric: Numeric) -> float:
    value = min(max(fill, numeric.clip[0]), numeric.clip[1]) if numeric.clip else fill
    if numeric.log1p and value <= -1:
        raise DataError(
            f"features.numeric.{name}: log1p of {value:g}, which stands in for a missing value (impute: {numeric.impute}); "
            f"expected more than -1. Impute another value, clip the feature to more than -1, or leave log1p out."
        )
    return math.log1p(value) if numeric.log1p else value


def _with_imputed(fill: float, rows: int, profile: ColumnProfile) -> Stats:
    """Moments of the present values merged with those of the imputed ones, all equal to `fill`.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979), eq. 2.1.
    """
    assert profile.percentiles is not None
    present, missing = profile.present, rows - profile.present
    shift = fill - profile.mean
    variance = (present * profile.variance + shift * shift * present * missing / rows) / rows
    stats = Stats(
        rows=rows,
        missing=missing,
        mean=profile.mean + shift * missing / rows,
        stddev=math.sqrt(variance),
        minimum=min(profile.minimum, fill) if missing else profile.minimum,
        maximum=max(profile.maximum, fill) if missing else profile.maximum,
        quartiles=tuple(profile.percentiles[at] for at in (FIRST, MEDIAN, THIRD)),
        percentiles=profile.percentiles,
    )
    return stats.with_levels(profile.levels)


def _scaling(name: str, numeric: Numeric, stats: Stats) -> tuple[float, float]:
    """Offset and scale of (x - offset) / scale."""
    assert stats.mean is not None and stats.stddev is not None and stats.quartiles is not None
    assert stats.minimum is not None and stats.maximum is not None
    low, median, high = stats.quartiles
    offset, scale = {
        "zscore": (stats.mean, stats.stddev),
        "minmax": (stats.minimum, stats.maximum - stats.minimum),
        "robust": (median, high - low),
        "none": (0.0, 1.0),
    }[numeric.scale]
    if numeric.scale == "none":
        return offset, scale
    rounding = FLAT * abs(stats.mean) if numeric.scale == "zscore" else 0.0
    if stats.minimum == stats.maximum or scale <= rounding:
        raise DataError(
            f"features.numeric.{name}: no variance in the train split (scale of {numeric.scale} is {scale:g}, values from "
            f"{stats.minimum:g} to {stats.maximum:g}). Leave the feature out, or give it another scaler."
        )
    return offset, scale
