"""The files of the table of scores: tasks read the examples' row groups, score them and write, all by Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features.batches import words_of
from pipelines.io.row_groups import RowGroup, read_batches
from pipelines.io.task_files import FileLayout, WrittenFile
from pipelines.serving.raw_batches import RAW_SCORES, ScoringModel, score_raw_batches

HELD_BYTES = 64 << 20  # of scored rows, that a task writes as one file


@dataclass(frozen=True)
class ScoreWriter:
    """Writes the scores of a part of the examples: called with the part's number, in a task.

    Rows without a whole window are left out, as are those that become no features. `passed` are columns of the table, each with
    the column of the examples that goes into it, in the type of the table; `constants` are columns with one value in all rows.
    The layout has one partition.
    """

    parts: Sequence[Sequence[RowGroup]]
    model: ScoringModel
    layout: FileLayout
    passed: Mapping[str, str]
    constants: Mapping[str, object]

    def __call__(self, part: int) -> Iterator[WrittenFile]:
        """Write the part, in several files where its scores take more than `HELD_BYTES`."""
        held, batches = 0, list[pa.RecordBatch]()
        for batch in score_raw_batches(self._examples(part), self.model, tuple(dict.fromkeys(self.passed.values()))):
            batches.append(self._typed(batch))
            held += batches[-1].nbytes
            if held > HELD_BYTES:
                yield self._file(part, batches)
                held, batches = 0, []
        if batches:
            yield self._file(part, batches)

    def _examples(self, part: int) -> Iterator[pa.RecordBatch]:
        """The part's rows that have whole windows."""
        spec = self.model.load().spec
        series = [name for name, kind in spec.inputs.items() if kind.length is not None]
        for batch in read_batches(self.parts[part], {*self.passed.values(), *spec.inputs}, words_of(spec)):
            yield batch.filter(reduce(pc.and_, (pc.is_valid(batch.column(name)) for name in series))) if series else batch

    def _typed(self, scored: pa.RecordBatch) -> pa.RecordBatch:
        """Passed columns and scores, in the types of the table."""
        columns = {**self.passed, **{name: name for name in RAW_SCORES}}
        types = [self.layout.schema.field(name).type for name in columns]
        given = [scored.column(name) for name in columns.values()]
        cast = [column.cast(type_, safe=False) for column, type_ in zip(given, types, strict=True)]
        return pa.RecordBatch.from_arrays(cast, names=[*columns])

    def _file(self, part: int, batches: Sequence[pa.RecordBatch]) -> WrittenFile:
        rows = pa.Table.from_batches(batches)
        return self.layout.write(0, self.layout.with_constants(rows, self.constants), f"{part:05d}")
