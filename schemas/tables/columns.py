"""Columns that many tables share."""

from schemas.contract import Column

INTERVAL = (
    Column("interval_from", "timestamp", unit="UTC", nullable=False, comment="start of the interval, included"),
    Column("interval_to", "timestamp", unit="UTC", nullable=False, comment="end of the interval, excluded"),
)


RUN = Column("run_id", "string", nullable=False, comment="the job run that wrote the row")


ROW_ID = Column("row_id", "bigint", nullable=False, comment="xxhash64 of the row's key")


SPLITS = ("train", "validation", "test")


SPLIT = Column("split", "string", nullable=False, allowed=SPLITS)
