"""The features table's files: tasks read the examples' row groups, apply a spec, sort by row id and write, all by Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features.arrays import ArrowRows, whole
from pipelines.features.batches import apply
from pipelines.fitted import FittedSpec
from pipelines.io.task_files import FileLayout, WrittenFile
from pipelines.survey import RowGroup, read_batches


@dataclass(frozen=True)
class FeatureWriter:
    """Writes the features of a part of the examples, a file a split: called with the part's number, in a task.

    Rows without a label are left out, as are those that become no features. `passed` are the columns that go into the table as
    they are, in the types of the table; `constants` are columns with one value in all rows. The partitions of the layout are
    those of `splits`, in their order.
    """

    parts: Sequence[Sequence[RowGroup]]
    spec: FittedSpec
    layout: FileLayout
    splits: Sequence[str]
    passed: Sequence[str]
    constants: Mapping[str, object]

    def __call__(self, part: int) -> Iterator[WrittenFile]:
        """Write the part."""
        batches = [batch for batch in self._batches(part) if batch.num_rows]
        if not batches:
            return
        rows = pa.Table.from_batches(batches).combine_chunks()
        split, ids = whole(rows["split"]).dictionary_encode(), rows["row_id"].to_numpy()
        codes, names = split.indices.to_numpy(), split.dictionary.to_pylist()
        for partition, name in enumerate(self.splits):
            if name in names:
                some = np.flatnonzero(codes == names.index(name))
                # Ids are hashes: sorted by them, rows lie in random order, which a shuffle of row groups builds on.
                ordered = rows.take(pa.array(some[np.argsort(ids[some], kind="stable")]))
                yield self.layout.write(partition, self._with_constants(ordered), f"{part:05d}")

    def _batches(self, part: int) -> Iterator[pa.RecordBatch]:
        """The accepted rows: passed columns and features."""
        inputs, types = self.spec.inputs, self.spec.columns
        words = {name for feature in self.spec.features if not feature.array for name in feature.inputs}
        words = {name for name in words if inputs[name].dtype == "string"}
        for batch in read_batches(self.parts[part], {*self.passed, "label", "split", "row_id", *inputs}, {"split", *words}):
            label = batch.column("label")
            labelled = batch.filter(pc.is_valid(label)) if label.null_count else batch
            features = apply(self.spec, ArrowRows(labelled, out_of_fold=True))
            passed = [self._passed(labelled, name) for name in self.passed]
            made = pa.RecordBatch.from_arrays([*passed, *features.arrow(types)], names=[*self.passed, *types])
            yield made.filter(pa.array(features.accepted)) if features.refused else made

    def _passed(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        return batch.column(name).cast(self.layout.schema.field(name).type, safe=False)

    def _with_constants(self, rows: pa.Table) -> pa.Table:
        for name, value in self.constants.items():
            type_ = self.layout.schema.field(name).type
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, type_), rows.num_rows))
        return rows
