"""Rows that become no features, as steps put them into quarantine and explain them."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.io.audit import Audit
from pipelines.runtime.context import Context
from schemas import tables
from schemas.contract import LANDING_ORDER


def write_refused(context: Context, audit: Audit, step: str, refused: Callable[[], DataFrame], *, some: bool) -> int:
    """Write a step's refused rows, in the place of the interval's former ones; return how many.

    Where it is known that there are none (`some` is false) the frame is not made.
    """
    if not some:
        return audit.write_rows(tables.QUARANTINE, [], {**context.whose_interval, "source": step})
    rows = context.stamped(refused()).withColumns({"source": F.lit(step), LANDING_ORDER: F.lit(None).cast("string")})
    return audit.write(tables.QUARANTINE, rows, _own(context, step))


def reason_of(context: Context, audit: Audit, step: str) -> str:
    """One reason for which a step refused rows; empty when it staged none."""
    refused = audit.read(tables.QUARANTINE).where(_own(context, step))
    return str(refused.agg(F.min(F.get("reasons", F.lit(0)))).collect()[0][0] or "")


def _own(context: Context, step: str) -> Column:
    return context.in_interval & (F.col("source") == step)
