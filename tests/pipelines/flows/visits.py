"""Contracts of a small pipeline for tests: visits to shops."""

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
