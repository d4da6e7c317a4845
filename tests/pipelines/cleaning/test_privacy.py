"""Personal values: hashed as Python's own HMAC does, and nowhere in a plan."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.privacy import hash_key, hashed, with_key
from pipelines.cleaning.rows import split_validated, validate_rows
from schemas import tables
from schemas.contract import Column, Table
from tests.pipelines.cleaning.landed import landed

KEY = b"a key of the test's own"
START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
PEOPLE = Table(
    "people",
    (
        Column("id", "int", nullable=False),
        Column("mail", "string", personal="hash", pattern="@"),
        Column("phone", "string", personal="drop"),
        Column("age", "int", maximum=120),
    ),
    key=("mail",),
    latest_by=("age",),
)


@pytest.mark.parametrize("key", [KEY, b"k", b"x" * 64])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_hashes_are_those_of_hmac_sha256(spark: SparkSession, key: bytes, texts: list[str]) -> None:
    frame = with_key(spark.createDataFrame([(text,) for text in texts], "t string"), hash_key(spark, key))
    hashes = {row.t: row.hash for row in frame.select("t", hashed(F.col("t")).alias("hash")).collect()}
    assert hashes == {text: hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for text in texts}


def test_personal_values_leave_raw_as_hashes_or_not_at_all(spark: SparkSession) -> None:
    inputs = CleaningInputs(key=hash_key(spark, KEY))
    rows = [("1", "Ann@x.org", "555", "30"), ("x", "bob@x.org", "556", "31"), ("3", "carl", "557", "32")]
    validated = validate_rows(landed(spark, PEOPLE, *rows, "4,broken dora@x.org"), PEOPLE, START, END, inputs)
    parts = split_validated(validated, PEOPLE, inputs)
    ann = hmac.new(KEY, b"Ann@x.org", hashlib.sha256).hexdigest()
    assert [row.asDict() for row in parts.clean.collect()] == [{"id": 1, "mail": ann, "age": 30}]
    refused = parts.quarantined.orderBy("raw").collect()
    quarantine_text = " ".join(f"{row.raw} {row.reasons}" for row in refused)
    assert [word for word in ("bob", "carl", "dora", "x.org", "555", "556", "557") if word in quarantine_text] == []
    assert "mail: expected text like @, received a personal value" in quarantine_text
    assert "withheld, since this source has personal columns" in quarantine_text
    assert hmac.new(KEY, b"bob@x.org", hashlib.sha256).hexdigest() in quarantine_text
    assert tables.clean(PEOPLE).column_names[:3] == ("id", "mail", "age")


def test_the_key_is_in_no_plan(spark: SparkSession) -> None:
    inputs = CleaningInputs(key=hash_key(spark, KEY))
    clean = split_validated(
        validate_rows(landed(spark, PEOPLE, ("1", "a@x", "5", "3")), PEOPLE, START, END, inputs), PEOPLE, inputs
    ).clean
    plan = clean._jdf.queryExecution().toString()
    padded = KEY.ljust(64, b"\0")
    for pad in (0, 0x36, 0x5C):
        secret = bytes(byte ^ pad for byte in padded[:8])
        assert secret.hex() not in plan.lower()
        assert secret.decode("latin-1") not in plan
        assert ", ".join(str(byte) for byte in secret) not in plan
