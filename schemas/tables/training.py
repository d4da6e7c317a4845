"""What was fitted and trained: statistics, samples, drift, history, receipts and trials."""

from schemas.contract import Column, Table
from schemas.tables.columns import INTERVAL, ROW_ID, RUN

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
