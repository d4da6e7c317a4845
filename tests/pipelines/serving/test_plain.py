"""Bodies of the usual shape as arrays, and the bodies that are left to the readers that name what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.bundles.signature import InputField
from pipelines.serving.failures import ValuesError
from pipelines.serving.plain import PlainReader, PlainRows
from pipelines.serving.rows import RequestRows, RowSchema

FIELDS = (
    InputField(name="distance", type="double", datatype="FP64", nullable=False, minimum=1, maximum=6000),
    InputField(name="holiday", type="boolean", datatype="FP64"),
    InputField(name="seats", type="int", datatype="FP64"),
    InputField(name="moment", type="timestamp", datatype="FP64"),
    InputField(name="origin", type="string", datatype="BYTES", allowed=("EWR", "JFK")),
    InputField(name="tail", type="string", datatype="BYTES"),
)
SERIES = InputField(name="past", type="array<double>", datatype="FP64", length=2)
READER = PlainReader(RowSchema(FIELDS), most_rows=3)
ROW: dict[str, Any] = {
    "tail": "N1", "origin": "JFK", "seats": 189, "distance": 1400.5, "holiday": True, "moment": "1970-01-01T01:00:10+01:00",
}  # fmt: skip
TENSORS: dict[str, tuple[str, Any, Any]] = {
    "distance": ("FP64", 1400.5, 2.0), "holiday": ("INT32", 1, None), "seats": ("INT64", 189, 4), "moment": ("FP64", 10, 0),
    "origin": ("BYTES", "JFK", "EWR"), "tail": ("BYTES", "N1", None),
}  # fmt: skip


def arrays(*several: PlainRows | None) -> RequestRows:
    """The arrays of rows that were read."""
    return READER.arrays([rows for rows in several if rows])


def test_rows_of_several_bodies_become_one_array() -> None:
    second = {**ROW, "distance": 2, "holiday": None, "seats": None, "moment": None, "origin": None, "tail": ""}
    rows = arrays(READER.named(ROW), READER.named([second, {**ROW, "distance": 3.0, "holiday": False}]))
    expected: list[list[float]] = [[1400.5, 2, 3], [1, np.nan, 0], [189, np.nan, 189], [10, np.nan, 10]]
    np.testing.assert_array_equal(rows.numbers, expected)
    assert rows.numbers.flags.c_contiguous
    assert (rows.words, rows.series) == ({"origin": ["JFK", "", "JFK"], "tail": ["N1", "", "N1"]}, {})


def test_tensors_become_the_same_rows() -> None:
    rows = arrays(READER.tensors(request()), READER.tensors({**request(rows=1), "id": "r7"}))
    expected: list[list[float]] = [[1400.5, 2, 1400.5], [1, np.nan, 1], [189, 4, 189], [10, 0, 10]]
    np.testing.assert_array_equal(rows.numbers, expected)
    assert rows.words == {"origin": ["JFK", "EWR", "JFK"], "tail": ["N1", "", "N1"]}


def request(rows: int = 2, **changes: dict[str, Any]) -> dict[str, Any]:
    """A request of the protocol, some tensors changed."""
    tensors = {
        name: {"name": name, "datatype": datatype, "shape": [rows], "data": list(values[:rows])}
        for name, (datatype, *values) in TENSORS.items()
    }
    return {"inputs": [{**tensor, **changes.get(name, {})} for name, tensor in tensors.items()]}


def test_series_are_arrays_too() -> None:
    reader = PlainReader(RowSchema((SERIES,)), most_rows=3)
    read = reader.named([{"past": [1, None]}, {"past": None}])
    assert read is not None
    rows = reader.arrays([read])
    np.testing.assert_array_equal(rows.series["past"], [[1, np.nan], [np.nan, np.nan]])
    assert rows.count == 2
    assert reader.named({"past": [1]}) is None
    flat = {"name": "past", "datatype": "FP64", "shape": [2, 2], "data": [1, None, 3, 4.5]}
    tensors = reader.tensors({"inputs": [flat]})
    assert tensors is not None
    np.testing.assert_array_equal(reader.arrays([tensors]).series["past"], [[1, np.nan], [3, 4.5]])
    for change in ({"data": [1, "2", 3, 4]}, {"shape": [4]}, {"shape": [2, 3]}, {"data": [1, 2]}, {"data": [[1, 2], [3, 4]]}):
        assert reader.tensors({"inputs": [{**flat, **change}]}) is None


@pytest.mark.parametrize(
    "content",
    [
        None, 5, [], [5], [ROW] * 4, {}, {**ROW, "more": 1}, {name: ROW[name] for name in ROW if name != "tail"},
        {name if name != "tail" else "tali": value for name, value in ROW.items()},
        {**ROW, "seats": True}, {**ROW, "seats": "9"}, {**ROW, "seats": [9]}, {**ROW, "holiday": 1}, {**ROW, "moment": 5},
        {**ROW, "moment": "1970-01-01T00:00:10"}, {**ROW, "origin": ""}, {**ROW, "tail": 5},
    ],
)  # fmt: skip
def test_named_values_that_may_be_wrong_are_left_to_the_other_reader(content: Any) -> None:
    assert READER.named(content) is None


@pytest.mark.parametrize(
    "content",
    [
        None, [], {}, {"inputs": []}, {"inputs": 5}, {"inputs": [5] * 6}, {**request(), "id": 7}, {**request(), "outputs": []},
        {**request(), "parameters": {}}, {"inputs": request()["inputs"][:5]}, {"inputs": request()["inputs"][:5] * 2},
        request(seats={"name": "holiday"}), request(seats={"name": "chairs"}), request(seats={"name": ["seats"]}),
        request(seats={"datatype": "BYTES"}), request(tail={"datatype": "FP64"}), request(seats={"shape": [2.0]}),
        request(seats={"shape": [2, 1]}), request(seats={"shape": [1], "data": [1]}), request(seats={"shape": [3]}),
        request(1, seats={"shape": [True]}), request(seats={"data": [True, 1]}), request(seats={"data": "12"}),
        request(tail={"data": ["a", 5]}), request(seats={"parameters": {"binary_data_size": 0}}), request(0),
    ],
)  # fmt: skip
def test_tensors_that_may_be_wrong_are_left_to_the_other_reader(content: Any) -> None:
    assert READER.tensors(content) is None


@pytest.mark.parametrize(
    "change",
    [{"distance": 0}, {"distance": None}, {"seats": 1.5}, {"origin": "SFO"}, {"seats": 2**53}, {"distance": 2**70}],
)
def test_values_outside_the_contract_or_too_large_make_no_arrays(change: dict[str, Any]) -> None:
    with pytest.raises(ValuesError):
        arrays(READER.named(ROW), READER.named({**ROW, **change}))
