"""What a task makes of its part of the examples: files of the features table, in order, and samples of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.features import batches
from pipelines.features import files as feature_files
from pipelines.features.files import FeatureWriter, samples_of
from pipelines.features.fitted import FittedFeature, FittedNumeric, FittedSpec, FittedTarget, FittedTime
from pipelines.features.folds import folds_of
from pipelines.io.row_groups import files_of
from pipelines.io.task_files import FileLayout
from pipelines.training.job import Sample

FLAG = FittedNumeric(name="flag", fill=0, clip=None, log1p=False, offset=0, scale=1)
SIZE = FittedNumeric(name="size", fill=5, clip=None, log1p=False, offset=1, scale=2, indicator=True)
CLOCK = FittedTime(name="at", parts=("hour",), zone="America/New_York", encode="ids")
MEAN = FittedTarget(
    name="word", vocabulary=("a",), prior=0, deviation=1, means=(1.0,), out_of_fold=((2.0,), (3.0,)), priors_out_of_fold=(4, 5)
)
SPLITS = ("train", "validation", "test")
BEGINS = datetime(2013, 1, 1, tzinfo=UTC)
ROWS: list[tuple[int, str, float | None, bool | None, float | None, datetime, str | None]] = [
    (30, "test", 1.0, True, 3.0, datetime(2013, 7, 4, 12, 30), "a"),
    (-20, "train", 0.0, False, None, datetime(2013, 1, 4, 12, 30), "a"),
    (10, "train", 1.0, None, 1e300, datetime(2013, 1, 4), "a"),  # no float32
    (-40, "train", 1.0, None, float("nan"), datetime(2013, 1, 4), "b"),
    (50, "train", None, True, 1.0, datetime(2013, 1, 4), "a"),  # no label
    (-60, "train", 1.0, True, 7.0, datetime(1935, 7, 4, 16), "b"),
    (70, "test", 0.0, None, 1.0, datetime(2013, 1, 4), None),
]
NAMES = ("row_id", "split", "label", "flag", "size", "at", "word")


def transform_and_read(
    folder: Path, *features: FittedFeature, every: int = 1
) -> tuple[dict[str, list[dict[str, Any]]], list[Any]]:
    """The rows of each split's file as they lie there, and the samples."""
    (folder / "examples").mkdir(exist_ok=True)
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "examples" / "part-0.parquet", row_group_size=3)
    spec = FittedSpec(features=features)
    kinds = {"float": pa.float32(), "int": pa.int32()}
    schema = pa.schema(
        [("row_id", pa.int64()), ("begins", pa.timestamp("us", "UTC")), ("split", pa.string()), ("label", pa.float32())]
        + [(name, kinds[type_]) for name, type_ in spec.columns.items()]
    )
    layout = FileLayout(
        schema, tuple(str(folder / split) for split in SPLITS), "zstd", dictionary=False, group_bytes=1 << 20, page_rows=10
    )
    parts = files_of(str(folder / "examples")).parts
    files = list(FeatureWriter(parts, spec, layout, SPLITS, ("row_id", "split", "label"), {"begins": BEGINS}, every)(0))
    rows: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        of_file = pq.ParquetFile(file.uri).read().to_pylist()
        assert len(of_file) == file.rows
        rows.setdefault(SPLITS[file.partition], []).extend(of_file)
    return rows, samples_of(files)


def test_rows_lie_by_split_in_the_order_of_their_ids_and_refused_ones_are_left_out(tmp_path: Path) -> None:
    rows, _ = transform_and_read(tmp_path, FLAG, SIZE, CLOCK)
    assert {split: [row["row_id"] for row in of] for split, of in rows.items()} == {"train": [-60, -20], "test": [30, 70]}
    assert rows["test"][0] == {
        "row_id": 30, "begins": BEGINS, "split": "test", "label": 1, "flag": 1, "size": 1, "size_missing": 0, "at_hour": 9,
    }  # fmt: skip
    assert rows["train"] == [
        {"row_id": -60, "begins": BEGINS, "split": "train", "label": 1, "flag": 1, "size": 3, "size_missing": 0, "at_hour": 13},
        {"row_id": -20, "begins": BEGINS, "split": "train", "label": 0, "flag": 0, "size": 2, "size_missing": 1, "at_hour": 8},
    ]


def test_samples_are_rows_of_the_table_with_their_raw_values_as_a_model_takes_them(tmp_path: Path) -> None:
    rows, samples = transform_and_read(tmp_path, FLAG, SIZE, CLOCK, every=20)
    table = {row["row_id"]: row for of in rows.values() for row in of}
    assert {sample.row_id for sample in samples} == {-60, -20}
    for sample in samples:
        features = json.loads(sample.features)
        assert features == {name: table[sample.row_id][name] for name in ("flag", "size", "size_missing", "at_hour")}
    raw = json.loads(next(sample.raw for sample in samples if sample.row_id == -20))
    assert raw == {"flag": 0.0, "at": datetime(2013, 1, 4, 12, 30, tzinfo=UTC).timestamp()}  # a missing one is left out
    assert Sample(raw=raw, features={}).raw == raw


def test_rows_of_train_have_the_mean_of_the_other_folds_and_are_no_samples(tmp_path: Path) -> None:
    rows, samples = transform_and_read(tmp_path, MEAN, every=10)
    of_fold = [{"a": 2.0, None: 4.0}, {"a": 3.0, None: 5.0}]
    for row in rows["train"]:
        fold = int(folds_of(pa.array([row["row_id"]], pa.int64()).to_numpy(), 2)[0])
        word = next(each[6] for each in ROWS if each[0] == row["row_id"])
        assert row["word"] == of_fold[fold]["a" if word == "a" else None]
    assert [row["word"] for row in rows["test"]] == [1, 0]
    assert {sample.row_id for sample in samples} == {30, 70}


def test_a_time_before_1970_has_the_clock_of_its_day(tmp_path: Path) -> None:
    rows, _ = transform_and_read(tmp_path, CLOCK)
    hours = {row["row_id"]: row["at_hour"] for row in rows["train"]}
    assert hours[-60] == 13  # 16 o'clock in Greenwich is noon in New York, by summer time
    assert hours[-20] == pytest.approx(8)


def test_large_rows_are_written_before_they_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, samples = transform_and_read(tmp_path, FLAG, CLOCK)
    monkeypatch.setattr(batches, "BATCH_BYTES", 16)  # two rows of 8 bytes
    monkeypatch.setattr(feature_files, "HELD_BYTES", 0)
    folder = tmp_path / "small"
    folder.mkdir()
    rows, again = transform_and_read(folder, FLAG, CLOCK)
    assert len(list((folder / "train").iterdir())) == 3  # of -20; of 10; of -40 and -60
    ids = {split: sorted(row["row_id"] for row in of) for split, of in whole.items()}
    assert {split: sorted(row["row_id"] for row in of) for split, of in rows.items()} == ids
    assert sorted(again) == sorted(samples)
