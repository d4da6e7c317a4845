"""Values in the names of folders, as Hive and Spark write partitions: `day=2013-01-01/part-0.parquet`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.contract import Table

FOLDER = re.compile(r"(?<=/)([^/=]+)=[^/]*(?=/)")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class FolderColumn(NamedTuple):
    """A column whose values are in names of folders: its name, and that which the folders give it."""

    name: str
    folder: str


def folder_columns(file: str, contract: Table, fields: Collection[str], rename: Mapping[str, str]) -> tuple[FolderColumn, ...]:
    """The contract's columns that are in the names of a file's folders, and not among its own fields."""
    folders = dict.fromkeys(FOLDER.findall(file))
    columns = (FolderColumn(rename.get(unquote(folder), unquote(folder)), folder) for folder in folders)
    return tuple(column for column in columns if column.name in contract.column_names and column.name not in fields)


def folder_value(column: FolderColumn, path: Column) -> Column:
    """The text that a file's path has for a column; null where the folder stands for none."""
    text = F.regexp_extract(path, rf"/{re.escape(column.folder)}=([^/]*)/", 1)
    plain = F.try_url_decode(F.replace(text, F.lit("+"), F.lit("%2B")))
    value = F.when(F.contains(text, F.lit("%")), F.coalesce(plain, text)).otherwise(text)
    return F.when(text != NO_VALUE, value)
