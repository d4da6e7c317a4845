"""Tables whose columns come from a pipeline's contracts: raw, clean, features and scores."""

from collections.abc import Mapping, Sequence

from schemas.contract import LANDING_ORDER, Column, ColumnType, Table
from schemas.tables.columns import INTERVAL, ROW_ID, RUN, SPLIT

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
