"""The features table's files: tasks read the examples' row groups, apply a spec, sort by row id and write, all by Arrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features.arrays import ArrowRows, numbers_of, whole
from pipelines.features.batches import Features, apply, sliced, words_of
from pipelines.features.fitted import FittedSpec, Raw
from pipelines.features.kinds.statistics import TRAIN
from pipelines.io.row_groups import RowGroup, read_batches
from pipelines.io.task_files import FileLayout, WrittenFile

HELD_BYTES = 256 << 20  # of features, that a task sorts at once


class FeatureSample(NamedTuple):
    """A row of the features table, with its raw values: both as JSON, a missing value left out."""

    row_id: int
    raw: str
    features: str


def samples_of(files: Sequence[WrittenFile]) -> list[FeatureSample]:
    """The samples that `FeatureWriter` has reported of its files."""
    return [FeatureSample(*sample) for file in files if file.report for sample in json.loads(file.report)]


@dataclass(frozen=True)
class FeatureWriter:
    """Writes the features of a part of the examples, a file a split: called with the part's number, in a task.

    Rows without a label are left out, as are those that become no features. `passed` are the columns that go into the table as
    they are, in the types of the table; `constants` are columns with one value in all rows. The partitions of the layout are
    those of `splits`, in their order. Of every `sample_every`-th row by its id a sample is reported; where rows of the train
    split differ from served ones, of the rows of the other splits.
    """

    parts: Sequence[Sequence[RowGroup]]
    spec: FittedSpec
    layout: FileLayout
    splits: Sequence[str]
    passed: Sequence[str]
    constants: Mapping[str, object]
    sample_every: int

    def __call__(self, part: int) -> Iterator[WrittenFile]:
        """Write the part, in several files a split where its features take more than `HELD_BYTES`."""
        held, batches, samples = 0, list[pa.RecordBatch](), list[FeatureSample]()
        for rows in sliced(self._labelled(part), self.spec):
            features = apply(self.spec, ArrowRows(rows, out_of_fold=True))
            accepted = features.accepted if features.refused else np.ones(rows.num_rows, np.bool_)
            batch = self._feature_batch(rows, features)
            batches.append(batch.filter(pa.array(accepted)) if features.refused else batch)
            samples += self._samples(rows, features, accepted)
            held += batches[-1].nbytes
            if held > HELD_BYTES:
                yield from self._files(part, batches, samples)
                held, batches, samples = 0, [], []
        yield from self._files(part, batches, samples)

    def _files(self, part: int, batches: Sequence[pa.RecordBatch], samples: Sequence[FeatureSample]) -> Iterator[WrittenFile]:
        """A file of each split that the rows are of; the first reports the samples."""
        report = json.dumps(samples) if samples else ""
        for partition, ordered in self._by_split(batches):
            file = self.layout.write(partition, self.layout.with_constants(ordered, self.constants), f"{part:05d}")
            yield file._replace(report=report)
            report = ""

    def _labelled(self, part: int) -> Iterator[pa.RecordBatch]:
        """The part's rows that have a label."""
        columns = {*self.passed, "label", "split", "row_id", *self.spec.inputs}
        for batch in read_batches(self.parts[part], columns, {"split", *words_of(self.spec)}):
            label = batch.column("label")
            yield batch.filter(pc.is_valid(label)) if label.null_count else batch

    def _feature_batch(self, rows: pa.RecordBatch, features: Features) -> pa.RecordBatch:
        """Passed columns and features."""
        schema, types = self.layout.schema, self.spec.columns
        passed = [rows.column(name).cast(schema.field(name).type, safe=False) for name in self.passed]
        return pa.RecordBatch.from_arrays([*passed, *features.arrow(types)], names=[*self.passed, *types])

    def _by_split(self, batches: Sequence[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
        """The rows of each split, by its position, in the order of their ids."""
        if not batches:
            return
        rows = pa.Table.from_batches(batches).combine_chunks()
        split, ids = whole(rows["split"]).dictionary_encode(), rows["row_id"].to_numpy()
        codes, names = split.indices.to_numpy(), split.dictionary.to_pylist()
        for partition, name in enumerate(self.splits):
            if name in names:
                some = np.flatnonzero(codes == names.index(name))
                # Ids are hashes: sorted by them, rows lie in random order, which a shuffle of row groups builds on.
                yield partition, rows.take(pa.array(some[np.argsort(ids[some], kind="stable")]))

    def _samples(self, rows: pa.RecordBatch, features: Features, accepted: npt.NDArray[np.bool_]) -> Iterator[FeatureSample]:
        ids = rows.column("row_id").to_numpy()
        chosen = accepted & (ids % self.sample_every == 0)
        if any(feature.differs_in_train for feature in self.spec.features):
            chosen &= pc.not_equal(rows.column("split").cast(pa.string()), TRAIN).to_numpy(zero_copy_only=False)
        some = np.flatnonzero(chosen)
        raw = [raw_values(rows.column(name).take(pa.array(some)), kind) for name, kind in self.spec.inputs.items()]
        for at, row in enumerate(some):
            values = {name: of[at] for name, of in zip(self.spec.inputs, raw, strict=True) if of[at] is not None}
            outputs = {name: of[row].tolist() for name, of in features.columns.items()}
            yield FeatureSample(int(ids[row]), json.dumps(values), json.dumps(outputs))


def raw_values(column: pa.Array, kind: Raw) -> list[Any]:
    """Raw values as a model takes them, None where missing: words, numbers, of a time the seconds since 1970."""
    if kind.dtype == "string":
        return list(column.cast(pa.string()).to_pylist())
    if kind.length is None:
        values, missing = numbers_of(column)
        return [None if lacking else value for value, lacking in zip(values.tolist(), missing, strict=True)]
    return list(column.cast(pa.list_(pa.float64())).to_pylist())
