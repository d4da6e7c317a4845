"""The contracts of the tables that every pipeline shares: what it did, what it refused, what it learnt."""

from collections.abc import Mapping, Sequence

from schemas.contract import LANDING_ORDER, Column, ColumnType, Table

INTERVAL = (
    Column("interval_from", "timestamp", unit="UTC", nullable=False, comment="start of the interval, included"),
    Column("interval_to", "timestamp", unit="UTC", nullable=False, comment="end of the interval, excluded"),
)
RUN = Column("run_id", "string", nullable=False, comment="the job run that wrote the row")
ROW_ID = Column("row_id", "bigint", nullable=False, comment="xxhash64 of the row's key")
SPLITS = ("train", "validation", "test")
SPLIT = Column("split", "string", nullable=False, allowed=SPLITS)

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
        Column("stage", "string", nullable=False),
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
    key=("stage", "source", "interval_from", "interval_to"),
    partition_by=("stage", "interval_from", "interval_to"),
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

FEATURE_STATS = Table(
    "feature_stats",
    (
        RUN,
        *INTERVAL,
        Column("fingerprint", "string", nullable=False, comment="SHA-256 of the whole fitted spec"),
        Column("position", "int", nullable=False),
        Column("feature", "string", nullable=False),
        Column("kind", "string", nullable=False),
        Column("rows", "bigint", unit="rows of the train split", nullable=False),
        Column("missing", "bigint", unit="rows"),
        Column("mean", "double"),
        Column("stddev", "double", comment="population standard deviation"),
        Column("minimum", "double"),
        Column("maximum", "double"),
        Column("quartiles", "array<double>", comment="25, 50 and 75 percent, approximate"),
        Column("vocabulary", "array<string>", comment="most frequent first; id 0 is the unknown"),
        Column("percentiles", "array<double>", comment="of the values that were there: at 0.5, 1, 1.5 to 99.5 percent"),
        Column("shares", "array<double>", unit="share of rows", comment="of each word of the vocabulary, or group of hashes"),
        Column("levels", "array<double>", comment="all distinct values where they are few, else some of them, in order"),
        Column(
            "rows_below", "array<double>", unit="rows", comment="with a value below each level; of a sample, as percentiles"
        ),
        Column("rows_at_most", "array<double>", unit="rows", comment="with a value at or below each level"),
        Column("auc", "double", comment="how well the feature alone ranks the label; approximate"),
        Column("fitted", "string", nullable=False, comment="JSON: the feature as the model applies it"),
        Column("provenance", "string", comment="JSON: snapshots of the clean tables, digest of the declared spec, the code"),
    ),
    key=("fingerprint", "feature"),
    partition_by=("interval_from", "interval_to"),
)

DRIFT_METRICS = Table(
    "drift_metrics",
    (
        RUN,
        *INTERVAL,
        Column("reference_run_id", "string", nullable=False, comment="the features run whose train split is compared with"),
        Column("compared", "string", nullable=False, allowed=("validation", "test", "interval")),
        Column("feature", "string", nullable=False),
        Column("psi", "double", unit="nats", nullable=False, comment="population stability index"),
        Column("ks", "double", comment="Kolmogorov-Smirnov distance; none for words"),
        Column("missing", "double", unit="share of rows", nullable=False, comment="missing now, less missing in train"),
    ),
    key=("interval_from", "interval_to", "compared", "feature"),
    partition_by=("interval_from", "compared", "interval_to"),
)

FEATURE_SAMPLES = Table(
    "feature_samples",
    (
        RUN,
        *INTERVAL,
        ROW_ID,
        Column("raw", "string", nullable=False, comment="JSON: the row's raw features; a missing one is left out"),
        Column("features", "string", nullable=False, comment="JSON: what Spark made of them"),
    ),
    key=("row_id",),
    partition_by=("interval_from", "interval_to"),
)

TRAINING_HISTORY = Table(
    "training_history",
    (
        RUN,
        Column("epoch", "int", nullable=False),
        Column("train_loss", "double", unit="a row: nats, of a regression squared deviations of the label", nullable=False),
        Column("validation_loss", "double", unit="as train_loss", nullable=False),
        Column("validation_auc", "double", comment="of a binary task"),
        Column("validation_accuracy", "double", comment="of a multiclass task"),
        Column("validation_mae", "double", unit="the label's", comment="mean absolute error, of a regression"),
        Column("learning_rate", "double", nullable=False),
        Column("rows", "bigint", unit="rows", nullable=False),
        Column("steps", "int", unit="steps", nullable=False),
        Column("seconds", "double", unit="seconds", nullable=False),
        Column("rows_per_second", "double", unit="rows a second", nullable=False),
        Column("best", "boolean", nullable=False),
    ),
    key=("run_id", "epoch"),
    partition_by=("run_id",),
)

FEED_RECEIPTS = Table(
    "feed_receipts",
    (
        RUN,
        Column("epoch", "int", nullable=False),
        Column("part", "int", comment="of an epoch that was interrupted, counted from 0"),
        Column("rank", "int", nullable=False),
        Column("host", "string", nullable=False),
        Column("rows", "bigint", unit="rows", nullable=False),
        Column("checksum", "bigint", nullable=False, comment="sum over rows of row_id modulo 2^31 - 1"),
        Column("feed_seconds", "double", unit="seconds", comment="waiting for rows"),
        Column("compute_seconds", "double", unit="seconds", comment="forward, backward and update"),
        Column("wait_seconds", "double", unit="seconds", comment="all-reduce, waiting for other ranks included"),
    ),
    key=("run_id", "epoch", "part", "rank"),
    partition_by=("run_id",),
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

SEARCH_TRIALS = Table(
    "search_trials",
    (
        RUN,
        Column("trial", "int", nullable=False, comment="counted from 1"),
        Column("state", "string", nullable=False, allowed=("done", "pruned", "failed")),
        Column("values", "string", nullable=False, comment="JSON: path in section train to the value tried"),
        Column("epochs", "int", nullable=False),
        Column("best_epoch", "int", comment="counted from 0"),
        Column("monitor", "string", nullable=False),
        Column("value", "double", comment="of the best epoch"),
        Column("seconds", "double", unit="seconds", nullable=False),
        Column("error", "string"),
        Column("promoted", "boolean", nullable=False, comment="whether its model is the run's"),
    ),
    key=("run_id", "trial"),
)

PREDICTIONS = Table(
    "predictions",
    (
        RUN,
        *INTERVAL,
        Column("model_run_id", "string", nullable=False),
        ROW_ID,
        SPLIT,
        Column("label", "float", comment="of a multiclass task the place of the class, from 0"),
        Column("score", "float", comment="estimated probability: of the label, of several classes that of the predicted one"),
        Column("predicted", "float", comment="the predicted class, or number"),
        Column("labels", "array<float>", comment="of a label with a horizon, step by step"),
        Column("predictions", "array<float>", comment="each class's probability, or each step's predicted number"),
    ),
    key=("run_id", "row_id"),
    partition_by=("interval_from", "interval_to", "split"),
)

EVALUATION_METRICS = Table(
    "evaluation_metrics",
    (
        RUN,
        *INTERVAL,
        Column("model_run_id", "string", nullable=False),
        SPLIT,
        Column("metric", "string", nullable=False),
        Column("value", "double", nullable=False),
        Column("baseline", "string", comment="which baseline the value is of; none for the model's own"),
        Column("low", "double", comment="lower bound of the value's bootstrap interval, on test"),
        Column("high", "double", comment="upper bound of the same"),
    ),
    key=("run_id", "split", "metric", "baseline"),
    partition_by=("interval_from", "interval_to"),
)

MODELS = Table(
    "models",
    (
        Column("name", "string", nullable=False, comment="the model's name: its pipeline's"),
        Column("version", "int", nullable=False, comment="counted from 1"),
        Column("alias", "string", allowed=("champion", "challenger"), comment="from valid_from to valid_to; none has no use"),
        Column("valid_from", "timestamp", unit="UTC", nullable=False, comment="since when the row holds, included"),
        Column("valid_to", "timestamp", unit="UTC", comment="until when, excluded; none: it holds now"),
        Column("change", "string", nullable=False, allowed=("published", "promoted", "rolled_back", "replaced")),
        Column("changed_by", "string", nullable=False, comment="who or what brought the change"),
        Column("change_reason", "string", nullable=False),
        RUN,
        Column("state", "string", nullable=False, allowed=("passed", "refused"), comment="of its gate"),
        Column("reasons", "array<string>", nullable=False, comment="every reason for which the gate refused it"),
        Column("uri", "string", nullable=False, comment="the bundle's folder"),
        Column("hash", "string", nullable=False, comment="SHA-256 that stands for all files of the bundle"),
        Column("train_run_id", "string", nullable=False),
        Column("evaluate_run_id", "string", nullable=False),
        *INTERVAL,
        Column("lineage", "string", nullable=False, comment="JSON: runs, snapshots, digests of configuration and code"),
        Column("metrics", "string", nullable=False, comment="JSON: metric on test to its value"),
        Column("gate", "string", nullable=False, comment="JSON: digest of the gate's settings, and the version compared with"),
        Column("created_at", "timestamp", unit="UTC", nullable=False, comment="when the version was registered"),
    ),
    key=("name", "version", "valid_from"),
)
"""A row a version and span of time: the row without a `valid_to` says how things are now, the others how they were."""

MODEL_DIFFERENCES = Table(
    "model_differences",
    (
        RUN,
        *INTERVAL,
        Column("model_run_id", "string", nullable=False),
        Column("baseline", "string", nullable=False),
        Column("metric", "string", nullable=False),
        Column("difference", "double", comment="the model's value less the baseline's, on the same test rows"),
        Column("low", "double", comment="lower bound of its paired bootstrap interval"),
        Column("high", "double", comment="upper bound of the same"),
    ),
    key=("run_id", "baseline", "metric"),
    partition_by=("interval_from", "interval_to"),
)

SLICE_METRICS = Table(
    "slice_metrics",
    (
        RUN,
        *INTERVAL,
        Column("model_run_id", "string", nullable=False),
        SPLIT,
        Column("features", "array<string>", nullable=False, comment="by whose values rows are grouped"),
        Column("values", "array<string>", comment="of the group; none of the groups that are suppressed, counted together"),
        Column("rows", "bigint", unit="rows", nullable=False),
        Column("metric", "string", nullable=False, comment="'suppressed' counts groups of too few rows"),
        Column("value", "double", comment="none where the metric is not defined"),
        Column("low", "double", comment="lower bound of the value's bootstrap interval"),
        Column("high", "double", comment="upper bound of the same"),
    ),
    key=("run_id", "split", "features", "values", "metric"),
    partition_by=("interval_from", "interval_to"),
)

LIVE_METRICS = Table(
    "live_metrics",
    (
        RUN,
        *INTERVAL,
        Column("model_version", "int", nullable=False, comment="of the table models"),
        Column("rows", "bigint", unit="rows", nullable=False, comment="rows that it scored, whose labels are known by now"),
        Column("metric", "string", nullable=False),
        Column("value", "double", comment="none where the metric is not defined"),
        Column("low", "double", comment="lower bound of the value's bootstrap interval"),
        Column("high", "double", comment="upper bound of the same"),
    ),
    key=("interval_from", "model_version", "metric"),
    partition_by=("interval_from",),
)

FEATURE_IMPORTANCE = Table(
    "feature_importance",
    (
        RUN,
        *INTERVAL,
        Column("model_run_id", "string", nullable=False),
        Column("feature", "string", nullable=False),
        Column("metric", "string", nullable=False),
        Column("loss", "double", nullable=False, comment="by how much the metric is worse with the feature's values shuffled"),
        Column("deviation", "double", nullable=False, comment="population standard deviation over shuffles"),
    ),
    key=("run_id", "feature"),
    partition_by=("interval_from", "interval_to"),
)

SHARED = (
    ROW_LEDGER,
    QUARANTINE,
    BROKEN_RULES,
    FEATURE_STATS,
    FEATURE_SAMPLES,
    DRIFT_METRICS,
    TRAINING_HISTORY,
    FEED_RECEIPTS,
    RUN_EVENTS,
    SEARCH_TRIALS,
    PREDICTIONS,
    EVALUATION_METRICS,
    MODELS,
    MODEL_DIFFERENCES,
    SLICE_METRICS,
    FEATURE_IMPORTANCE,
    LIVE_METRICS,
    RUNS,
)


FEATURE_FILES = {
    "write.parquet.row-group-size-bytes": str(4 << 20),
    "write.parquet.page-row-limit": "20000",
    # No dictionaries: scaled numbers hardly repeat, and to find that out takes two fifths of the writing.
    "parquet.enable.dictionary": "false",
    # Ranks decode them epoch after epoch, on the core that trains: in 0.4 of zstd's time, whose files are 10 to 25 % smaller.
    "write.parquet.compression-codec": "lz4_raw",
}


LANDED = (
    Column("extra", "map<string,string>", comment="fields that the contract does not know"),
    Column("source_file", "string", comment="file, table or address"),
    Column("source_block", "bigint", unit="bytes", comment="start of the part of the file that one task read"),
    Column("source_row", "bigint", comment="counts on within a block, from any number"),
    Column("broken_line", "string", comment="the whole line, when it is no row"),
    Column("broken_why", "string"),
    Column("event_at", "timestamp", unit="UTC", comment="the event time, where it could be read"),
    RUN,
    *INTERVAL,
)
"""What a raw table has beside its contract's columns, none of which may have such a name; a clean table has the last three."""

IDENTIFIED = (ROW_ID, RUN, *INTERVAL, SPLIT)
"""What is set beside the columns of examples on their way to the features table."""


LANDING = Column(LANDING_ORDER, "string", comment="sorts rows by their period, file, and place in it")
"""What raw and clean tables have in addition, where the contract's `latest_by` names it."""


def raw(source: Table) -> Table:
    """The table that a source lands in: every column as the text received, its place, and a line that is no row."""
    received = tuple(Column(name, "string") for name in source.column_names)
    parts = ("interval_from", "interval_to")
    columns = (*received, *LANDED, *_landing(source))
    return Table(f"raw_{source.name}", columns, partition_by=parts, one_partition=True)


def _landing(source: Table) -> tuple[Column, ...]:
    return (LANDING,) if source.in_landing_order else ()


def clean(source: Table) -> Table:
    """The table of a source's valid, deduplicated rows, one a key and interval; no personal value is in it."""
    columns = tuple(
        Column(c.name, "string", comment="HMAC-SHA256") if c.personal else c for c in source.columns if c.personal != "drop"
    )
    flags = tuple(Column(c.flag, "boolean", comment=f"{c.name} lies outside its fences") for c in source.columns if c.flag)
    return Table(
        name=f"clean_{source.name}",
        columns=(*columns, *flags, *_landing(source), RUN, *INTERVAL),
        key=source.key,
        latest_by=source.latest_by,
        event_time=source.event_time,
        partition_by=("interval_from", "interval_to"),
        one_partition=True,
    )


def features(
    carried: tuple[Column, ...], columns: Mapping[str, ColumnType], label: ColumnType = "float", baselines: Sequence[str] = ()
) -> Table:
    """The training table: row id, split, label and carried columns, what baselines predict, then features by type.

    Rows lie sorted by `row_id`, a hash, so that the order on disk is a random one, and in small row groups, so that the
    ranks' blocks are small: a shuffle of blocks and of the rows within a buffer is then close to a shuffle of all rows.
    """
    declared = (
        ROW_ID,
        *INTERVAL,
        SPLIT,
        Column("label", label, nullable=False),
        *carried,
        *(Column(f"baseline_{name}", label) for name in baselines),
        *(Column(name, type_, nullable=False) for name, type_ in columns.items()),
    )
    return Table(
        "features",
        declared,
        key=("row_id",),
        partition_by=("interval_from", "interval_to", "split"),
        sorted_by=("row_id",),
        properties=FEATURE_FILES,
    )


SCORED = (
    RUN,
    *INTERVAL,
    Column("model_version", "int", nullable=False, comment="of the table models"),
    ROW_ID,
    Column("label", "float", comment="where it is known"),
    Column("labels", "array<float>", comment="of a label with a horizon, step by step, where it is known"),
    Column("score", "float", comment="estimated probability: of the label, of several classes that of the predicted one"),
    Column("calibrated_score", "float", comment="the score after calibration; none where the model carries none"),
    Column("predicted", "float", comment="the predicted class, or number"),
    Column("predictions", "array<float>", comment="each class's probability, or each step's predicted number"),
)
"""What a scored row has beside the columns of its key, none of which may have such a name."""


def scores(identifying: tuple[Column, ...]) -> Table:
    """The rows that a version scored in batches: what identifies a row, and its score."""
    return Table(
        "scores",
        (*SCORED[:5], *identifying, *SCORED[5:]),
        key=("model_version", "row_id"),
        partition_by=("interval_from", "interval_to", "model_version"),
    )
