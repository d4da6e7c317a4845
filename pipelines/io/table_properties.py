"""Properties of an Iceberg table that follow from its contract."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.contract import Table

READ_BATCH = "read.parquet.vectorization.batch-size"
READ_ROWS, READ_COLUMNS, LEAST_ROWS = 5_000, 200, 64


def table_properties(contract: Table) -> dict[str, str]:
    """What a table is created with; the contract's own properties win."""
    return {
        "format-version": "2",
        "write.distribution-mode": "hash",
        "commit.retry.num-retries": "20",
        **read_batches(contract),
        **contract.properties,
    }


def read_batches(contract: Table) -> dict[str, str]:
    """How many rows a reader takes at a time, where a table is wide; nothing where Iceberg's 5,000 fit.

    For each column Iceberg allocates direct memory for a whole batch: 768 KiB for 5,000 strings. Two tasks that read 2,000
    columns would take 3 GiB, more than the JVM allows.
    """
    columns = len(contract.columns)
    if columns <= READ_COLUMNS:
        return {}
    return {READ_BATCH: str(max(LEAST_ROWS, READ_ROWS * READ_COLUMNS // columns))}


def assigned(properties: Mapping[str, str]) -> str:
    """Properties as TBLPROPERTIES takes them."""
    return ", ".join(f"'{key}'='{value}'" for key, value in properties.items())
