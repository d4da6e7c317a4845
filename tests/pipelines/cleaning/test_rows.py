"""Every row gets one verdict, every reason is said, and no row is lost."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.duplicates import VERDICT
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.outliers import fit_fences
from pipelines.cleaning.rows import count_broken, split_validated, validate_rows, verdicts
from schemas.contract import Column, Outliers, Reference, Rule, Table
from tests.pipelines.cleaning.landed import landed as landed_rows

START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)
CONTRACT = Table(
    "visits",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("share", "double", minimum=0, maximum=1),
        Column("kind", "string", allowed=("a", "b")),
        Column("code", "string", pattern="^[A-Z]{2}$"),
    ),
    key=("id",),
    latest_by=("at",),
    event_time="at",
    rules=(Rule("a b has a share", "kind <> 'b' or share is not null"),),
)
AT = "2013-01-10T08:00:00Z"


def landed(spark: SparkSession, *rows: tuple[Any, ...] | str) -> DataFrame:
    """Landed text rows: id, at, share, kind, code; or a broken line."""
    return landed_rows(spark, CONTRACT, *rows)


def verdicts_in_order(frame: DataFrame) -> list[str]:
    """The verdicts, in the order of ids."""
    return [row[VERDICT] for row in frame.orderBy("id", "at").collect()]


def counted(validated: DataFrame) -> Row:
    """How many rows got each verdict."""
    return validated.agg(*verdicts(CONTRACT)).collect()[0]


def test_a_good_row_is_parsed(spark: SparkSession) -> None:
    validated = validate_rows(landed(spark, (" 7 ", AT, "0.5", "a", "XY")), CONTRACT, START, END)
    row = split_validated(validated, CONTRACT).clean.collect()[0]
    assert (row.id, row.share, row.kind, row.code) == (7, 0.5, "a", "XY")


def test_null_tokens_are_missing_values(spark: SparkSession) -> None:
    rows = [(str(number), AT, token, "a", token) for number, token in enumerate(("", "NA", " NA ", None))]
    validated = validate_rows(landed(spark, *rows), CONTRACT, START, END)
    clean = split_validated(validated, CONTRACT).clean.orderBy("id").collect()
    assert [(row.id, row.share, row.code) for row in clean] == [(number, None, None) for number in range(4)]


BAD_ROWS: list[tuple[tuple[Any, ...] | str, str]] = [
    (("x", AT, "0.5", "a", "XY"), "id: expected a value of type int, received 'x'"),
    (("99999999999", AT, "0.5", "a", "XY"), "id: expected a value of type int, received '99999999999'"),
    (("", AT, "0.5", "a", "XY"), "id: expected a value, received nothing"),
    (("1", "yesterday", "0.5", "a", "XY"), "at: expected a value of type timestamp, received 'yesterday'"),
    (("1", AT, "1.5", "a", "XY"), "share: expected at most 1, received '1.5'"),
    (("1", AT, "-0.5", "a", "XY"), "share: expected at least 0, received '-0.5'"),
    (("1", AT, "NaN", "a", "XY"), "share: expected a finite number, received 'NaN'"),
    (("1", AT, "0.5", "c", "XY"), "kind: expected one of a, b, received 'c'"),
    (("1", AT, "0.5", "a", "xy"), "code: expected text like ^[A-Z]{2}$, received 'xy'"),
    (("1", AT, "", "b", "XY"), "rule: a b has a share (kind <> 'b' or share is not null)"),
    (("1", AT, "0.5", "a", "X\0Y"), "code: expected text without NUL bytes, received 'X\0Y'"),
    ('1,"2', "line: broken"),
]


@pytest.fixture(scope="module")
def reasons(spark: SparkSession) -> dict[int, list[str]]:
    """The reasons of each bad row, by its number."""
    validated = validate_rows(landed(spark, *(row for row, _ in BAD_ROWS)), CONTRACT, START, END)
    return {row.source_row: row.reasons for row in split_validated(validated, CONTRACT).quarantined.collect()}


@pytest.mark.parametrize(("number", "reason"), [*enumerate(reason for _, reason in BAD_ROWS)])
def test_a_bad_row_is_quarantined_with_the_reason(reasons: dict[int, list[str]], number: int, reason: str) -> None:
    assert reason in reasons[number]


def test_every_reason_is_given_and_the_row_is_kept_as_received(spark: SparkSession) -> None:
    validated = validate_rows(landed(spark, ("x", AT, "7", "c", "xyz")), CONTRACT, START, END)
    quarantined = split_validated(validated, CONTRACT).quarantined.collect()[0]
    assert list(quarantined.reasons) == [
        "id: expected a value of type int, received 'x'",
        "share: expected at most 1, received '7'",
        "kind: expected one of a, b, received 'c'",
        "code: expected text like ^[A-Z]{2}$, received 'xyz'",
    ]
    assert quarantined.raw == '{"id":"x","at":"2013-01-10T08:00:00Z","share":"7","kind":"c","code":"xyz"}'
    assert quarantined.source_file == "file.csv"


def test_a_broken_line_is_kept_whole(spark: SparkSession) -> None:
    validated = validate_rows(landed(spark, "1;2;3"), CONTRACT, START, END)
    assert split_validated(validated, CONTRACT).quarantined.collect()[0].raw == "1;2;3"


def test_the_interval_is_half_open(spark: SparkSession) -> None:
    times = ["2012-12-31T23:59:59Z", "2013-01-01T00:00:00Z", "2013-01-31T23:59:59Z", "2013-02-01T00:00:00Z"]
    rows = [(str(number), at, "0", "a", "XY") for number, at in enumerate(times)]
    assert verdicts_in_order(validate_rows(landed(spark, *rows), CONTRACT, START, END)) == [
        "filtered",
        "clean",
        "clean",
        "filtered",
    ]


def test_of_one_key_the_latest_wins_and_the_others_are_duplicates(spark: SparkSession) -> None:
    rows = [("1", "2013-01-02T00:00:00Z", "0.1", "a", "XY"), ("1", "2013-01-03T00:00:00Z", "0.2", "a", "XY")]
    validated = validate_rows(landed(spark, *rows, ("2", AT, "0.3", "a", "XY")), CONTRACT, START, END)
    assert verdicts_in_order(validated) == ["duplicate", "clean", "clean"]


def test_a_tie_falls_the_same_way_whatever_the_order(spark: SparkSession) -> None:
    rows = [("1", AT, f"0.{digit}", "a", "XY") for digit in range(1, 9)]
    winners = {
        split_validated(validate_rows(landed(spark, *order), CONTRACT, START, END), CONTRACT).clean.collect()[0].share
        for order in (rows, rows[::-1], rows[3:] + rows[:3])
    }
    assert len(winners) == 1


def test_a_refused_row_does_not_make_a_good_one_a_duplicate(spark: SparkSession) -> None:
    rows = [("1", "2013-01-09T00:00:00Z", "9", "a", "XY"), ("1", "2013-01-02T00:00:00Z", "0.1", "a", "XY")]
    assert verdicts_in_order(validate_rows(landed(spark, *rows), CONTRACT, START, END)) == ["clean", "quarantined"]


def test_the_counts_add_up(spark: SparkSession) -> None:
    rows = [
        ("1", AT, "0.1", "a", "XY"),
        ("1", AT, "0.1", "a", "XY"),
        ("2", "2014-01-01T00:00:00Z", "0.1", "a", "XY"),
        ("x", AT, "0.1", "a", "XY"),
        ("y", AT, "0.1", "a", "XY"),
    ]
    counts = counted(validate_rows(landed(spark, *rows), CONTRACT, START, END))
    assert (counts.clean, counts.repeated, counts.filtered, counts.quarantined) == (1, 1, 1, 2)
    assert counts.example == "id: expected a value of type int, received 'x'"


def test_copies_are_counted_apart_from_other_rows_of_the_same_key(spark: SparkSession) -> None:
    older = ("1", "2013-01-02T00:00:00Z", "0.2", "a", "XY")
    rows = [("1", AT, "0.1", "a", "XY"), ("1", AT, "0.10", "a", " XY"), older, ("2", AT, "0.1", "a", "XY")]
    counts = counted(validate_rows(landed(spark, *rows), CONTRACT, START, END))
    assert (counts.clean, counts.repeated, counts.duplicate) == (2, 1, 1)


def test_without_a_key_equal_rows_count_once(spark: SparkSession) -> None:
    contract = replace(CONTRACT, key=(), latest_by=())
    rows = [("1", AT, "0.1", "a", "XY"), ("1", AT, "0.1", "a", "XY"), ("1", AT, None, "a", "XY"), ("1", AT, None, "a", "XY")]
    validated = validate_rows(landed(spark, *rows, ("1", AT, "0.2", "a", "XY")), contract, START, END)
    counts = validated.agg(*verdicts(contract)).collect()[0]
    assert (counts.clean, counts.repeated, counts.duplicate) == (3, 2, 0)


def test_values_that_are_unique_refuse_all_but_one(spark: SparkSession) -> None:
    contract = replace(CONTRACT, unique=(("code",),))
    rows = [
        ("1", "2013-01-02T00:00:00Z", "0.1", "a", "XY"),
        ("2", AT, "0.2", "a", "XY"),
        ("3", AT, "0", "a", ""),
        ("4", AT, "0", "a", ""),
    ]
    validated = validate_rows(landed(spark, *rows), contract, START, END)
    assert verdicts_in_order(validated) == ["quarantined", "clean", "clean", "clean"]
    quarantined = split_validated(validated, contract).quarantined.collect()[0]
    assert list(quarantined.reasons) == ["unique: code: expected no other row with XY"]
    assert quarantined.raw.startswith('{"id":"1"')


def test_severities_refuse_a_row_or_only_count_it(spark: SparkSession) -> None:
    rules = (Rule("low", "share < 0.5", "warn"), Rule("even", "id % 2 = 0", "fail"), Rule("small", "id < 10"))
    contract = replace(CONTRACT, rules=rules, columns=(*CONTRACT.columns[:4], replace(CONTRACT.columns[4], severity="warn")))
    rows = [
        ("1", AT, "0.6", "a", "xy"),
        ("12", AT, "0.1", "a", "XY"),
        ("2", AT, None, "a", "XY"),
        ("4", "2012-01-01", "1", "a", "XY"),
    ]
    validated = validate_rows(landed(spark, *rows), contract, START, END)
    assert verdicts_in_order(validated) == ["clean", "clean", "filtered", "quarantined"]
    counts = {(row["name"], row.severity, row["rows"]) for row in count_broken(validated).collect()}
    assert counts == {
        ("rule: low", "warn", 1),
        ("rule: even", "fail", 1),
        ("rule: small", "quarantine", 1),
        ("code: text like ^[A-Z]{2}$", "warn", 1),
    }


def test_a_reference_must_exist_where_it_is_given(spark: SparkSession) -> None:
    contract = replace(CONTRACT, references=(Reference(("kind", "code"), "kinds", ("name", "code")),))
    known = spark.createDataFrame([("a", "XY"), ("a", "XY"), ("b", None)], "name string, code string")
    rows = [("1", AT, "0", "a", "XY"), ("2", AT, "0", "b", "XY"), ("3", AT, "0", "b", None)]
    validated = validate_rows(landed(spark, *rows), contract, START, END, CleaningInputs({"kinds": known}))
    assert verdicts_in_order(validated) == ["clean", "quarantined", "clean"]
    reasons = [list(row.reasons) for row in split_validated(validated, contract).quarantined.collect()]
    assert reasons == [["reference: expected kind, code in kinds, received 'b', 'XY'"]]


@pytest.mark.parametrize(
    ("action", "verdict", "share", "flag"),
    [("clip", "clean", 0.9, None), ("flag", "clean", 1.0, True), ("quarantine", "quarantined", None, None)],
)
def test_outliers_are_clipped_flagged_or_refused(
    spark: SparkSession, action: Any, verdict: str, share: float | None, flag: bool | None
) -> None:
    column = replace(CONTRACT.columns[2], outliers=Outliers(action, low=0.1, high=0.9))
    contract = replace(CONTRACT, columns=(*CONTRACT.columns[:2], column, *CONTRACT.columns[3:]))
    rows = [(str(n), AT, str(n / 10), "a", "XY") for n in range(1, 10)] + [
        ("10", AT, "1.0", "a", "XY"),
        ("11", AT, "7", "a", "XY"),
    ]
    raw = landed(spark, *rows)
    fences = fit_fences(raw, contract)
    assert fences == {"share": (0.1, 0.9)}
    inputs = CleaningInputs(fences=fences)
    validated = validate_rows(raw, contract, START, END, inputs)
    assert verdicts_in_order(validated)[9] == verdict
    clean = {row.id: row.asDict() for row in split_validated(validated, contract, inputs).clean.collect()}
    assert clean[5]["share"] == 0.5
    assert clean.get(10, {}).get("share") == share
    assert clean.get(10, {}).get("share_outlier") == flag
    broken = {(row["name"], row["rows"]) for row in count_broken(validated).collect()}
    assert broken == {("share: between the fences 0.1 and 0.9", 2), ("share: at most 1", 1)}


def test_tukeys_fences_reach_beyond_the_quartiles(spark: SparkSession) -> None:
    column = Column("share", "double", outliers=Outliers("flag", low=0.25, high=0.75, reach=1.5))
    contract = Table("t", (column,))
    assert fit_fences(landed_rows(spark, contract, *((str(n),) for n in range(1, 5)), ("NaN",), "x"), contract) == {
        "share": (1 - 1.5 * 2, 3 + 1.5 * 2)
    }


def test_extra_fields_are_read_once_the_contract_knows_them(spark: SparkSession) -> None:
    raw = landed(spark, ("1", AT, "0", "a", None)).withColumn("extra", F.create_map(F.lit("code"), F.lit("XY")))
    codes = [
        split_validated(validate_rows(raw, CONTRACT, START, END, CleaningInputs(extras=extras)), CONTRACT)
        .clean.collect()[0]
        .code
        for extras in (True, False)
    ]
    assert codes == ["XY", None]
