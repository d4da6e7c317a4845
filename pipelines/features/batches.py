"""A fitted spec applied to Arrow batches: the columns of the features table, and why a row becomes none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.features.arrays import ArrowRows
from pipelines.features.fitted import FittedSpec
from pipelines.features.numpy_rows import NumpyRows
from pipelines.workers import forget_archives
from schemas.contract import ColumnType
from schemas.names import internal

REASONS = internal("reasons")
BATCH_BYTES = 64 << 20
ARROW_TYPES = {"float": pa.float32(), "int": pa.int32()}
EXPECTED = {
    "float": "expected a finite number",
    "array<float>": "expected finite numbers of it alone (of an image, a PNG as base64)",
}


class Features(NamedTuple):
    """The columns of the features table by name, (rows,) or (rows, values), and the rows of each in which it is not finite."""

    columns: dict[str, npt.NDArray[Any]]
    refused: dict[str, npt.NDArray[np.bool_]]

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """Which rows have finite numbers alone, where some have others."""
        accepted: npt.NDArray[np.bool_] = ~np.logical_or.reduce([*self.refused.values()])
        return accepted

    def arrow(self, types: Mapping[str, ColumnType]) -> list[pa.Array]:
        """The columns as Arrow has them."""
        return [_arrow(self.columns[name], type_) for name, type_ in types.items()]


def apply(spec: FittedSpec, rows: NumpyRows) -> Features:
    """Apply a spec to rows; the columns are in the order of the features table."""
    types, outputs = spec.columns, {}
    with np.errstate(all="ignore"):  # a number that is not finite is reported with its row
        for name, values in _columns(spec, rows):
            outputs[name] = values.astype(np.int32 if "int" in types[name] else np.float32, copy=False)
    columns = {
        name: outputs[name].reshape(rows.count, -1) if type_.startswith("array") else outputs[name]
        for name, type_ in types.items()
    }
    return Features(columns, dict(_refused(columns, types)))


def feature_batches(
    batches: Iterable[pa.RecordBatch], spec: FittedSpec, passed: Sequence[str], *, out_of_fold: bool
) -> Iterator[pa.RecordBatch]:
    """Raw rows to the `passed` columns and the features of those that are accepted."""
    forget_archives()
    for batch in sliced(batches, spec):
        features = apply(spec, ArrowRows(batch, out_of_fold=out_of_fold))
        held = [batch.column(name) for name in passed]
        whole = pa.RecordBatch.from_arrays([*held, *features.arrow(spec.columns)], names=[*passed, *spec.columns])
        yield _accepted(whole, features)


def usable_batches(batches: Iterable[pa.RecordBatch], spec: FittedSpec) -> Iterator[pa.RecordBatch]:
    """The raw rows that become features, as they are."""
    forget_archives()
    for batch in sliced(batches, spec):
        yield _accepted(batch, apply(spec, ArrowRows(batch)))


def refused_batches(batches: Iterable[pa.RecordBatch], spec: FittedSpec, passed: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Raw rows to the `passed` columns of those that become no features, and the reasons (`REASONS`)."""
    forget_archives()
    for batch in sliced(batches, spec):
        features = apply(spec, ArrowRows(batch))
        if not features.refused:
            continue
        some = np.flatnonzero(~features.accepted)
        expected = {name: f"{name}: {EXPECTED[spec.columns[name]]}" for name in features.refused}
        reasons = [[expected[name] for name, refused in features.refused.items() if refused[row]] for row in some]
        held = [batch.column(name).take(pa.array(some)) for name in passed]
        yield pa.RecordBatch.from_arrays([*held, pa.array(reasons, pa.list_(pa.string()))], names=[*passed, REASONS])


def sliced(batches: Iterable[pa.RecordBatch], spec: FittedSpec) -> Iterator[pa.RecordBatch]:
    """Rows in batches whose features take at most `BATCH_BYTES`, whatever the size of an image; none is empty."""
    rows = max(BATCH_BYTES // max(spec.row_bytes, 1), 1)
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def words_of(spec: FittedSpec) -> set[str]:
    """The inputs that are read as words of a dictionary; texts and images, which hardly repeat, are not."""
    of_words = {name for feature in spec.features if not feature.array for name in feature.inputs}
    return {name for name in of_words if spec.inputs[name].dtype == "string"}


def _accepted(batch: pa.RecordBatch, features: Features) -> pa.RecordBatch:
    return batch.filter(pa.array(features.accepted)) if features.refused else batch


def _columns(spec: FittedSpec, rows: NumpyRows) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Each column that a spec makes."""
    for kind, features in spec.by_kind.items():
        for block in kind.blocks(features, rows):
            [name] = block.names  # each column by itself: see `NumpyRows.side_by_side`
            yield name, block.values


def _refused(
    columns: Mapping[str, npt.NDArray[Any]], types: Mapping[str, ColumnType]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The columns that have numbers which are not finite, with the rows of these."""
    for name, values in columns.items():
        if types[name] in EXPECTED:
            finite = np.isfinite(values)
            if not finite.all():
                yield name, ~(finite if finite.ndim == 1 else finite.all(axis=1))


def _arrow(values: npt.NDArray[Any], type_: ColumnType) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values, ARROW_TYPES[type_])
    rows, length = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * length, flat)
