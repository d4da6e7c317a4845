"""Names that a contract's columns cannot have: a prefix for columns that only exist while a stage works, and Iceberg's own."""

INTERNAL = "__"
"""The prefix of working columns. No table has one, and no contract may declare one."""

ICEBERG = (
    "_file", "_pos", "_deleted", "_spec_id", "_partition", "_row_id", "_last_updated_sequence_number", "_change_type",
    "_change_ordinal", "_commit_snapshot_id",
)  # fmt: skip
"""Names by which Iceberg gives where a row lies; it refuses to read a table that has a column of such a name."""


def internal(name: str) -> str:
    """The name of a working column: no contract's column can be in its way."""
    return f"{INTERNAL}{name}"
