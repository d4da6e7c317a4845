"""Which promises the rows of many intervals break, those about whole intervals among them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from operator import itemgetter

from pyspark.sql import DataFrame

from pipelines.cleaning.accounting import Account
from pipelines.cleaning.expectations import BrokenRule, check_freshness, check_volume, merge_broken
from pipelines.cleaning.rows import count_broken
from pipelines.io.driver_rows import Bound
from pipelines.runtime.batches import APART, Batch, Bounds, bounds_of, micros_of_bounds
from schemas import tables
from schemas.contract import Table


def broken_of(
    batch: Batch, contract: Table, rows: DataFrame, accounts: Mapping[Bounds, Account], newest: Mapping[Bounds, datetime]
) -> dict[Bounds, list[BrokenRule]]:
    """By interval, the promises that a source's validated rows break, and those that the interval as a whole does not keep.

    `newest` has the newest event time of an interval's clean rows, where there are any.
    """
    broken: dict[Bounds, list[BrokenRule]] = {bounds: [] for bounds in batch.bounds}
    counted = count_broken(rows, APART)
    for row in counted.select(*micros_of_bounds(), "name", "severity", "rows", "message").collect():
        broken[bounds_of(row)].append(BrokenRule(contract.name, row["name"], row["severity"], row["rows"], row["message"]))
    usual = _usual(batch, contract, accounts)
    for interval, bounds in zip(batch.intervals, batch.bounds, strict=True):
        as_whole = check_freshness(contract, newest.get(bounds), interval.end)
        if contract.volume:
            before = [rows for start, rows in usual if start < bounds[0]]
            as_whole += check_volume(contract, _own_rows(accounts[bounds]), before[: contract.volume.runs])
        broken[bounds] = [*merge_broken(broken[bounds]), *as_whole]
    return broken


def _usual(batch: Batch, contract: Table, accounts: Mapping[Bounds, Account]) -> list[tuple[datetime, int]]:
    """How many rows the source's intervals have, the batch's and all before its end, by their start, the latest first."""
    if contract.volume is None:
        return []
    where = {"step": "clean", "source": contract.name, "interval_from": Bound("<", batch.bounds[-1][1])}
    ledger = batch.context.lake.rows(tables.ROW_LEDGER, where)
    rows = {row["interval_from"].astimezone(UTC): row["rows_in"] - row["filtered"] for row in ledger}
    rows |= {start: _own_rows(account) for (start, _), account in accounts.items()}
    return sorted(rows.items(), key=itemgetter(0), reverse=True)


def _own_rows(account: Account) -> int:
    return account.rows_in - account.filtered
