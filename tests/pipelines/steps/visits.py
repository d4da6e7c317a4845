"""Contracts of a small pipeline for tests: visits to shops."""

from collections.abc import Mapping

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.contract import Column, Reference, Rule, Table

SHOPS = Table("shops", (Column("shop", "string", nullable=False), Column("town", "string")), key=("shop",))
VISITS = Table(
    "visits",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("spent", "double", unit="euros", minimum=0, maximum=100),
        Column("shop", "string"),
    ),
    key=("id",),
    latest_by=("at", "spent"),
    event_time="at",
    rules=(Rule("a visit names its shop", "shop is not null", "warn"),),
    references=(Reference(("shop",), "shops", ("shop",)),),
)
SOURCES = {"visits": VISITS, "shops": SHOPS}
EXAMPLES = Table(
    "examples",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("spent", "double"),
        Column("earlier", "double", unit="visits to the shop before this one"),
        Column("town", "string"),
        Column("label", "float"),
    ),
    key=("id",),
    event_time="at",
)


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a visit, with its shop's town and how many visits to the shop there were before."""
    before = Window.partitionBy("shop").orderBy("at").rowsBetween(Window.unboundedPreceding, -1)
    visits = tables["visits"].withColumn("earlier", F.count("*").over(before).cast("double"))
    return visits.join(tables["shops"], "shop", "left").withColumn("label", (F.col("spent") > 3).cast("float"))
