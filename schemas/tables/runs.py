"""What runs did: each step's record, its row ledger, what it refused, and what happened on its way."""

from schemas.contract import LANDING_ORDER, Column, Table
from schemas.tables.columns import INTERVAL, RUN

RUNS = Table(
    "runs",
    (
        RUN,
        Column("pipeline", "string", nullable=False),
        Column("job", "string", nullable=False),
        *INTERVAL,
        Column("status", "string", nullable=False, allowed=("succeeded", "failed", "interrupted")),
        Column("fingerprint", "string", nullable=False, comment="SHA-256 of job, interval, config, code and inputs"),
        Column("config_hash", "string", nullable=False),
        Column("code_version", "string", nullable=False, comment="version and digest of the source"),
        Column("inputs", "string", nullable=False, comment="JSON: source file or table to its version"),
        Column("outputs", "string", nullable=False, comment="JSON: table to the snapshot that the run published"),
        Column("artifacts", "string", nullable=False, comment="JSON: name to path, for what is not a table"),
        Column("error", "string"),
        Column("started_at", "timestamp", unit="UTC", nullable=False),
        Column("seconds", "double", unit="seconds", nullable=False),
    ),
    key=("run_id", "job"),
)


ROW_LEDGER = Table(
    "row_ledger",
    (
        RUN,
        Column("step", "string", nullable=False, comment="ingest, clean, features, predict or train"),
        Column("source", "string", nullable=False),
        *INTERVAL,
        Column("rows_in", "bigint", unit="rows", nullable=False),
        Column("rows_out", "bigint", unit="rows", nullable=False),
        Column("quarantined", "bigint", unit="rows", nullable=False),
        Column("duplicates", "bigint", unit="rows", nullable=False),
        Column("repeated", "bigint", unit="rows", comment="of the duplicates, copies that equal the row that stays"),
        Column("filtered", "bigint", unit="rows", nullable=False),
        Column("replaced", "array<string>", comment="smaller intervals whose rows the run replaced, in UTC"),
    ),
    key=("step", "source", "interval_from", "interval_to"),
    partition_by=("step", "interval_from", "interval_to"),
)


QUARANTINE = Table(
    "quarantine",
    (
        RUN,
        Column("source", "string", nullable=False),
        *INTERVAL,
        Column("reasons", "array<string>", nullable=False, comment="every reason, not the first"),
        Column("source_file", "string"),
        Column("source_line", "bigint", comment="counted from the first row of its file, which is 1"),
        Column("raw", "string", nullable=False, comment="the row as received, as JSON, or the broken line itself"),
        Column("unparsed", "boolean", comment="whether raw is a line that is no row"),
        Column(LANDING_ORDER, "string", comment="the row's, where the contract has rows of a key decided by it"),
    ),
    partition_by=("source", "interval_from", "interval_to"),
)


BROKEN_RULES = Table(
    "broken_rules",
    (
        RUN,
        Column("source", "string", nullable=False),
        *INTERVAL,
        Column("rule", "string", nullable=False),
        Column("severity", "string", nullable=False, allowed=("quarantine", "warn", "fail")),
        Column("rows", "bigint", unit="rows that broke the rule", nullable=False),
        Column("example", "string"),
    ),
    key=("source", "interval_from", "interval_to", "rule"),
    partition_by=("interval_from", "interval_to"),
)


RUN_EVENTS = Table(
    "run_events",
    (
        RUN,
        Column("at", "timestamp", unit="UTC", nullable=False),
        Column("attempt", "int", nullable=False, comment="counted from 1"),
        Column("kind", "string", nullable=False, allowed=("failed", "resumed", "slow", "damaged")),
        Column("rank", "int"),
        Column("host", "string"),
        Column("epoch", "int", comment="counted from 0"),
        Column("step", "int"),
        Column("message", "string", nullable=False),
    ),
)
