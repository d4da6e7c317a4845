"""Personal values as keyed hashes: HMAC-SHA256, computed by Spark's own functions."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.expressions import col
from schemas.contract import Table
from schemas.names import internal

BLOCK_BYTES = 64
INNER, OUTER = internal("inner_pad"), internal("outer_pad")


def hash_key(spark: SparkSession, key: bytes) -> DataFrame:
    """The key as one row that other rows are joined with. In an expression it would be seen in every plan and its logs.

    HMAC(K, m) = H((K ^ opad) || H((K ^ ipad) || m)), RFC 2104; both padded keys are made here.
    """
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytearray(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return spark.createDataFrame([(inner, outer)], f"{INNER} binary, {OUTER} binary")


def with_key(frame: DataFrame, key: DataFrame | None) -> DataFrame:
    """The frame beside the key; as it is when there is none."""
    return frame if key is None else frame.crossJoin(F.broadcast(key))


def hashed(text: Column) -> Column:
    """Text as 64 hexadecimal digits; null stays null. The frame has the key beside it."""
    inner = F.unhex(F.sha2(F.concat(F.col(INNER), text.cast("binary")), 256))
    return F.sha2(F.concat(F.col(OUTER), inner), 256)


def stored_columns(contract: Table) -> list[Column]:
    """The contract's columns as they may be seen: personal ones hashed, or left out."""
    columns = [column for column in contract.columns if column.personal != "drop"]
    return [hashed(col(c.name)).alias(c.name) if c.personal else col(c.name) for c in columns]
