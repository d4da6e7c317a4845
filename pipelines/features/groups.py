"""Groups of rows that statistics are taken of: each tells the group of each row, as a word."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.features.arrays import ArrowRows
from pipelines.features.kinds.statistics import TRAIN, Words

INTERVAL = "interval"
CLASSES = ("negative", "positive")
LABELLED = ("split", "label")


def labelled_splits(rows: ArrowRows) -> Words:
    """The split of each row that has a label."""
    split = rows.words("split")
    codes = np.where(rows.present("label"), split.codes, len(split.dictionary))
    return Words(codes, split.dictionary)


def train_classes(rows: ArrowRows) -> Words:
    """Of the train split's labelled rows, which of `CLASSES` a binary label is."""
    splits = labelled_splits(rows)
    of_train = np.append(splits.dictionary.to_numpy(zero_copy_only=False) == TRAIN, False)[splits.codes]
    label, _ = rows.numbers(["label"])
    return Words(np.where(of_train, label > 0.5, len(CLASSES)).astype(np.int32), pa.array(CLASSES))


def every_row(rows: ArrowRows) -> Words:
    """All rows as one group, where nothing is told apart."""
    return Words(np.zeros(rows.table.num_rows, np.int32), pa.array([INTERVAL]))
