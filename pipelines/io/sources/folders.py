"""Values in the names of folders, as Hive and Spark write partitions: `day=2013-01-01/part-0.parquet`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.errors import DataError
from schemas.contract import Table

FOLDER = re.compile(r"(?<=/)([^/=]+)=[^/]*(?=/)")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class FolderColumn(NamedTuple):
    """A column whose values are in names of folders: its name, and that which the folders give it."""

    name: str
    folder: str


def folder_columns(file: str, contract: Table, fields: Collection[str], rename: Mapping[str, str]) -> tuple[FolderColumn, ...]:
    """The contract's columns that are in the names of a file's folders, and not among its own fields.

    As in Hive, capitals in a folder's name count as small letters. Raises DataError when folders give a column twice.
    """
    names = {name.lower(): name for name in contract.column_names}
    columns: dict[str, FolderColumn] = {}
    for folder in FOLDER.findall(file):
        name = names.get(rename.get(unquote(folder), unquote(folder)).lower())
        if name in columns:
            raise DataError(
                f"source {contract.name}: the folders of {file} give the column {name} twice; expected once. Move the file, or "
                f"rename a folder."
            )
        if name and name not in fields:
            columns[name] = FolderColumn(name, folder)
    return tuple(columns.values())


def folder_value(column: FolderColumn, path: Column) -> Column:
    """The text that a file's path has for a column; null where the folder stands for none."""
    text = F.regexp_extract(path, rf"/{re.escape(column.folder)}=([^/]*)/", 1)
    plain = F.try_url_decode(F.replace(text, F.lit("+"), F.lit("%2B")))
    value = F.when(F.contains(text, F.lit("%")), F.coalesce(plain, text)).otherwise(text)
    return F.when(text != NO_VALUE, value)
