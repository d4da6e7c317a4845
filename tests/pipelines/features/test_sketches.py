"""Profiles of Parquet files in parts, by one request and several, against what is counted by hand."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ExternalError
from pipelines.features import sketches
from pipelines.features.arrays import ArrowRows
from pipelines.features.kinds.statistics import Request, Words, number, presence, word
from pipelines.features.kinds.summaries import PERCENTILES
from pipelines.features.sketches import ProfileRequest, merge_sketches, sketch_columns
from pipelines.io import row_groups
from pipelines.io.row_groups import files_of

REQUESTS = (number("x"), word("w"), presence("t"))
FIRST = [pa.RecordBatch.from_pydict({"id": [0]})]  # the number of the first part


def _words(rows: ArrowRows, column: str) -> Words:
    return rows.words(column)


def request_by(column: str, requests: Sequence[Request], **thinned: int) -> ProfileRequest:
    """A request for profiles of the groups that a column names."""
    return ProfileRequest(tuple(requests), partial(_words, column=column), (column,), **thinned)


Profiles = dict[tuple[str, int], dict[str, Any]]


def write_files(folder: Path, *files: dict[str, Any], row_group: int = 1000) -> str:
    """A folder with a file of each."""
    for at, columns in enumerate(files):
        pq.write_table(pa.table(columns), folder / f"part-{at}.parquet", row_group_size=row_group)
    return str(folder)


def profiled(folder: str, *surveys: ProfileRequest) -> Profiles:
    """The merged profiles of the files' parts, each summarized alone, by group and key of the request."""
    files = files_of(folder)
    numbers = [pa.RecordBatch.from_pydict({"id": [part]}) for part in range(len(files.parts))]
    tasks = [list(sketch_columns(iter([number]), files.parts, surveys, "id")) for number in numbers]
    rows = [row for task in tasks for batch in task for row in batch.to_pylist()]
    rows.sort(key=lambda row: (row["group"], row["key"], row["part"], row["at"]))
    merged = merge_sketches([pa.RecordBatch.from_pylist(rows, tasks[0][0].schema)])
    return {(row["group"], row["key"]): row for batch in merged for row in batch.to_pylist()}


def test_statistics_of_tasks_are_merged_by_group_and_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "PART_ROWS", 1)
    first = {"g": ["a", "b", "a", None], "x": [1.0, 10.0, None, 7.0], "w": ["u", "u", "v", "u"], "t": [1, None, 3, 4]}
    second = {"g": ["a", "a"], "x": [3.0, 5.0], "w": ["v", None], "t": pa.array([None, None], pa.int64())}
    folder = write_files(tmp_path, first, second)
    assert len(files_of(folder).parts) == 2
    profiles = profiled(folder, request_by("g", REQUESTS))
    assert set(profiles) == {(group, key) for group in "ab" for key in range(4)}  # rows without a group are left out
    x = profiles["a", 1]
    assert (x["present"], x["mean"], x["squares"], x["minimum"], x["maximum"]) == (3, 3, 8, 1, 5)
    assert [x["percentiles"][at] for at in (0, 99, 198)] == [1, 3, 5]
    assert (profiles["a", 2]["words"], profiles["a", 2]["counts"], profiles["a", 2]["present"]) == (["v", "u"], [2, 1], 3)
    assert (profiles["a", 3]["present"], profiles["b", 3]["present"]) == (2, 0)
    assert profiles["b", 1]["percentiles"] == [10.0] * len(PERCENTILES)


def test_several_requests_in_one_pass_each_have_their_own_groups_and_rows(tmp_path: Path) -> None:
    ids = np.arange(-500, 500)
    columns = {"id": ids, "g": np.where(ids < 0, "low", "high"), "h": np.full(1000, "all"), "x": ids.astype(float)}
    profiles = profiled(
        write_files(tmp_path, columns, row_group=70),
        request_by("g", (number("x"),)),
        request_by("h", (number("x"), presence("h")), rows=10, values=20),
    )
    assert (profiles["low", 1]["present"], profiles["low", 1]["minimum"], profiles["high", 1]["mean"]) == (500, -500, 249.5)
    whole = profiles["all", 3]
    assert (whole["present"], whole["minimum"], whole["maximum"], whole["mean"]) == (100, -500, 490, -5)
    assert whole["percentiles"][99] == -20  # of -500, -480 to 480
    assert profiles["all", 4]["present"] == 100


def test_a_group_without_a_sampled_row_has_no_profile(tmp_path: Path) -> None:
    columns = {"id": [1, 10, 20], "g": ["rare", "often", "often"], "x": [1.0, 2.0, 3.0]}
    assert set(profiled(write_files(tmp_path, columns), request_by("g", (number("x"),), rows=10))) == {
        ("often", 0),
        ("often", 1),
    }


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.float32(), pa.float64()])
def test_finite_numbers_of_any_type_are_counted_and_no_others(tmp_path: Path, kind: pa.DataType) -> None:
    values = [1.0, 3.0, None, *([float("nan"), float("inf"), -float("inf")] if pa.types.is_floating(kind) else [None])]
    folder = write_files(tmp_path, {"g": ["a"] * len(values), "x": pa.array(values, kind)})
    row = profiled(folder, request_by("g", (number("x"),)))["a", 1]
    assert (row["present"], row["mean"], row["minimum"], row["maximum"]) == (2, 2, 1, 3)


def test_parts_are_whole_row_groups_in_order_whatever_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "PART_ROWS", 250)
    files = files_of(
        write_files(tmp_path, {"x": range(730)}, {"x": pa.array([], pa.int64())}, {"x": range(120)}, row_group=100)
    )
    assert files.columns == ("x",)
    groups = [group for part in files.parts for group in part]
    assert groups == sorted(groups)
    assert len(groups) == 8 + 1 + 2  # a file without rows has a group of none
    footers = {uri: pq.read_metadata(uri) for uri, _ in groups}
    rows = [sum(footers[uri].row_group(index).num_rows for uri, index in part) for part in files.parts]
    assert rows == [200, 200, 200, 250]  # four parts, since three would have more than 250 each
    with pytest.raises(ExternalError, match="no Parquet file is there"):
        files_of(str(tmp_path / "none"))


def test_of_a_large_and_a_small_file_each_part_has_about_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "PART_ROWS", 260)
    files = files_of(write_files(tmp_path, {"x": range(320)}, {"x": range(20)}, row_group=80))
    assert [len(part) for part in files.parts] == [2, 3]  # 160 rows, and 180


def test_a_task_passes_on_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "SLICE_ROWS", 10)
    monkeypatch.setattr(sketches, "HELD_VALUES", 25)
    folder = write_files(tmp_path, {"g": ["a"] * 90, "x": np.arange(90.0)})
    parts = list(sketch_columns(FIRST, files_of(folder).parts, [request_by("g", REQUESTS[:1])], "id"))
    values = [np.frombuffer(content) for part in parts for content in part.column("values").to_pylist() if content]
    assert [len(content) for content in values] == [30, 30, 30]
    assert all(after[0] == before[-1] + 1 for before, after in pairwise(values))
    assert profiled(folder, request_by("g", REQUESTS[:1]))["a", 1]["percentiles"][99] == 44


def test_words_of_several_dictionaries_are_counted_as_one(tmp_path: Path) -> None:
    words = [f"w{number % 7}" for number in range(300)] + ["w0"] * 300
    row = profiled(write_files(tmp_path, {"g": ["a"] * 600, "w": words}, row_group=100), request_by("g", (word("w"),)))["a", 1]
    counts = dict(zip(row["words"], row["counts"], strict=True))
    assert counts == {f"w{number}": words.count(f"w{number}") for number in range(7)}


def test_a_text_that_is_no_utf_8_is_counted_as_it_is(tmp_path: Path) -> None:
    broken = pa.array([b"\xff", b"\xff", b"ok"]).view(pa.string())
    folder = write_files(tmp_path, {"g": ["a"] * 3, "w": broken})
    batches = list(sketch_columns(FIRST, files_of(folder).parts, [request_by("g", REQUESTS[1:2])], "id"))
    _, word_profile = merge_sketches(batches)
    assert word_profile.column("words")[0].values.cast(pa.binary()).to_pylist() == [b"\xff", b"ok"]
    assert word_profile.column("counts").to_pylist() == [[2, 1]]
