"""Columns of any allowed name pass cleaning and features, and are stored and read, under their names."""

from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.outliers import fit_fences
from pipelines.cleaning.replaying import replay
from pipelines.cleaning.rows import count_broken, shared_keys, split_validated, validate_rows, verdicts
from pipelines.cleaning.two_pass import TwoPassValidator
from pipelines.expressions import cols
from pipelines.io.audit import Audit
from pipelines.io.lake import Lake
from schemas import tables
from schemas.contract import Column, Outliers, Reference, Rule, Table
from tests.pipelines.cleaning.landed import LANDED
from tests.pipelines.test_expressions import NAMES

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
# What stages call their own columns, but for the prefix.
OWN = (
    "_verdict",
    "_raw",
    "_found",
    "_tie",
    "_received",
    "raw",
    "reasons",
    "unparsed",
    "row_id",
    "split",
    "label",
    "value",
    "at",
)
TEXTS = (*NAMES, *OWN)
CONTRACT = Table(
    "s",
    (
        Column("key.of", "int", nullable=False),
        Column("at`time", "timestamp"),
        Column("a.number", "double", minimum=0, maximum=9.5, outliers=Outliers("flag", low=0.0, high=1.0)),
        *(Column(name, "string", allowed=("a", "b", "it's")) for name in TEXTS),
    ),
    key=("key.of",),
    latest_by=("at`time", "a.number"),
    unique=(("user.id", "a.number"),),
    event_time="at`time",
    rules=(Rule("a.rule of `*`", "`user.id` <> 'b' or `a.number` < 5", "warn"),),
    references=(Reference(("user.id",), "other", ("its.id",), "warn"),),
)
AT = "2020-05-01T00:00:00Z"
ROWS = (
    ("1", AT, "1", *["a"] * len(TEXTS)),
    ("1", "2020-05-02T00:00:00Z", "2.5", *["it's"] * len(TEXTS)),
    ("2", AT, "7", *["b"] * len(TEXTS)),
    ("3", AT, "10", *["c"] * len(TEXTS)),
)


def test_a_contract_of_odd_names_is_cleaned_and_stored(spark: SparkSession, lake: Lake) -> None:
    names = ", ".join(f"`{name.replace('`', '``')}` string" for name in CONTRACT.column_names)
    full = [(*row, None, "file.csv", 0, at, None, None, None) for at, row in enumerate(ROWS)]
    raw = spark.createDataFrame(full, f"{names}, {LANDED}")
    known = spark.createDataFrame([("a",), ("it's",)], "`its.id` string")
    inputs = CleaningInputs({"other": known}, fit_fences(raw, CONTRACT))
    assert inputs.fences == {"a.number": (1.0, 7.0)}  # 10 is above the maximum
    validated = validate_rows(raw, CONTRACT, START, END, inputs).persist()
    counts = validated.agg(*verdicts(CONTRACT)).collect()[0]
    assert (counts.clean, counts.duplicate, counts.quarantined) == (2, 1, 1)
    broken = {row["name"]: row["rows"] for row in count_broken(validated).collect()}
    assert broken["rule: a.rule of `*`"] == 1
    assert broken["reference: user.id in other"] == 2
    parts = split_validated(validated, CONTRACT, inputs)
    stamped = parts.clean.withColumns({"run_id": F.lit("r"), "interval_from": F.lit(START), "interval_to": F.lit(END)})
    table = tables.clean(CONTRACT)
    with Audit(lake, "clean") as audit:
        audit.write(table, stamped, F.lit(True))
        audit.publish()
    stored = lake.read(table.name).select(*cols(CONTRACT.column_names), "`a.number_outlier`").orderBy("`key.of`").collect()
    assert [row[0] for row in stored] == [1, 2]
    assert [tuple(row)[2:] for row in stored] == [(2.5, *["it's"] * len(TEXTS), False), (7.0, *["b"] * len(TEXTS), False)]
    [refused] = parts.quarantined.collect()
    words = {f"{name}: expected one of a, b, it's, received 'c'" for name in TEXTS}
    assert set(refused.reasons) == {"a.number: expected at most 9.5, received '10'", *words}
    validated.unpersist()


def test_the_first_pass_and_replay_take_odd_names_too(spark: SparkSession) -> None:
    contract = Table("s", CONTRACT.columns, key=CONTRACT.key, event_time=CONTRACT.event_time)
    names = ", ".join(f"`{name.replace('`', '``')}` string" for name in CONTRACT.column_names)
    raw = spark.createDataFrame(
        [(*row, None, "f", 0, at, None, None, None) for at, row in enumerate(ROWS)], f"{names}, {LANDED}"
    )
    validator = TwoPassValidator(contract, START, END, CleaningInputs(), shared_keys(raw, contract, CleaningInputs()))
    passed = validator.first_pass(raw)
    assert sorted(row[-2] for row in passed.collect()) == ["clean", "suspect", "suspect", "suspect"]
    refused = split_validated(validate_rows(raw, contract, START, END), contract).quarantined.withColumn(
        "source_line", F.lit(1)
    )
    again = Table(
        "s", tuple(Column(c.name, c.type) for c in contract.columns), key=contract.key, event_time=contract.event_time
    )
    empty = spark.createDataFrame([], raw.select(*cols(contract.column_names)).schema)
    typed = empty.select(
        *(value.cast(c.type).alias(c.name) for value, c in zip(cols(contract.column_names), contract.columns, strict=True))
    )
    [row] = split_validated(replay(typed, refused, again, START, END, CleaningInputs()).validated, again).clean.collect()
    assert (row["key.of"], row["a.number"], row["a`b"], row["_verdict"]) == (3, 10.0, "c", "c")
