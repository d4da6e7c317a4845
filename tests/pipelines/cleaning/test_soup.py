"""Whatever bytes a source delivers: a clear error, or every row accounted for."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.rows import VERDICTS, split_validated, validate_rows, verdicts
from pipelines.config import Interval
from pipelines.errors import RingmillError
from pipelines.io.sources.base import Source
from pipelines.io.sources.csv_files import CsvFiles
from pipelines.io.sources.json_files import JsonFiles
from schemas.contract import Column, Rule, Table

MAY = Interval(start=datetime(2013, 5, 1, tzinfo=UTC), end=datetime(2013, 6, 1, tzinfo=UTC))
CONTRACT = Table(
    "soup",
    (
        Column("id", "int", nullable=False, minimum=0),
        Column("at", "timestamp", nullable=False, zone="America/New_York"),
        Column("spent", "double", maximum=100, decimal=","),
        Column("kind", "string", case="lower", allowed=("a", "b"), aliases={"alpha": "a"}, severity="warn"),
    ),
    key=("id",),
    latest_by=("at",),
    event_time="at",
    rules=(Rule("cheap", "spent < 50", "warn"),),
)
PIECES = [
    b"id", b"at", b"spent", b"kind", b",", b",", b",", b"\n", b"\n", b"\r\n", b'"', b"\x00", b"\xff\xfe", b"\xc3\xa9", b"1",
    b"-7", b"99999999999", b"2013-05-01 10:00", b"2013-03-10T02:30", b"1,5", b"NaN", b"alpha", b"B", b"{", b"}", b":", b"[",
    b"null", b" ", b"\\", b"\\u0000", b"\t", b"\xef\xbb\xbf", b"NA", b"true", b"1e400",
]  # fmt: skip
HEADER = b"id,at,spent,kind\n"
CSV_ROWS = b'1,2013-05-01 10:00,"1,5",a\n2,2013-05-02 11:30,7,B\n3,2013-07-01,,alpha\n1,2013-05-03 00:00,8,"a ""b"""\n'
JSON_ROWS = (
    b'{"id": 1, "at": "2013-05-01T10:00:00Z", "spent": "1,5", "kind": "a"}\n'
    b'{"id": 2, "at": "2013-05-02 11:30", "kind": null}\n{"id": "x", "at": 7, "spent": {"a": [1]}}\n{}\n'
)
soup = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join) | st.binary(max_size=200)


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes with some cut out, doubled, swapped or replaced."""
    content = bytearray(original)
    rng = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 8))):
        at, length = rng.randrange(len(content) or 1), rng.randrange(1, 6)
        piece = rng.choice([b"", rng.choice(PIECES), bytes(content[at : at + length]) * 2, rng.randbytes(1)])
        content[at : at + length] = piece
    return bytes(content)


def account_for(spark: SparkSession, source: Source) -> None:
    """Read and validate the source. An error must be one of ours; without one every row is accounted for."""
    failure: RingmillError | None
    try:
        rows = source.read(spark, CONTRACT, MAY)
        landed = rows.count()
    except RingmillError as error:
        failure = error
    else:
        failure = None
    if failure:
        assert (failure.exit_code, "source soup" in str(failure)) in {(3, True), (5, True)}
        return
    validated = validate_rows(rows, CONTRACT, MAY.start, MAY.end).persist()  # once for the three queries below
    counts = validated.agg(*verdicts(CONTRACT)).collect()[0]
    assert sum(counts[verdict] for verdict in VERDICTS) == landed
    refused = split_validated(validated, CONTRACT).quarantined.where(F.col("raw").isNull() | (F.size("reasons") == 0))
    assert refused.count() == 0
    clean = split_validated(validated, CONTRACT).clean.collect()
    assert len({row.id for row in clean}) == len(clean) == counts["clean"]
    validated.unpersist()


def write_file(folder: Path, content: bytes) -> str:
    """Write a file of its own for each example: Spark may remember what it saw."""
    path = folder / f"{random.getrandbits(64)}.txt"
    path.write_bytes(content)
    return str(path)


DRIFTS = st.sampled_from(["fail", "add", "ignore"])
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@quick
@given(content=soup, header=st.booleans(), multiline=st.booleans(), drift=DRIFTS)
def test_byte_soup_as_csv(
    spark: SparkSession, tmp_path: Path, content: bytes, header: bool, multiline: bool, drift: Any
) -> None:
    path = write_file(tmp_path, HEADER * header + content)
    account_for(spark, CsvFiles(kind="csv", path=path, multiline=multiline, drift=drift))


@pytest.mark.slow
@quick
@given(content=mutated(HEADER + CSV_ROWS), encoding=st.sampled_from(["utf-8", "windows-1252", "iso-8859-1"]))
def test_mutated_csv(spark: SparkSession, tmp_path: Path, content: bytes, encoding: Any) -> None:
    account_for(spark, CsvFiles(kind="csv", path=write_file(tmp_path, content), encoding=encoding))


@pytest.mark.slow
@quick
@given(content=soup | mutated(JSON_ROWS), drift=DRIFTS)
def test_byte_soup_and_mutated_lines_as_json(spark: SparkSession, tmp_path: Path, content: bytes, drift: Any) -> None:
    account_for(spark, JsonFiles(kind="jsonl", path=write_file(tmp_path, content), drift=drift))
