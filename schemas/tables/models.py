"""Models and what was measured of them."""

from schemas.contract import Column, Table
from schemas.tables.columns import INTERVAL, ROW_ID, RUN, SPLIT

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
