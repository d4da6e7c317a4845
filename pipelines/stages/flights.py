"""The flights pipeline's own derivation: what is known of a flight at the start of its scheduled hour of departure.

A flight's prediction time is its `time_hour`. Of other flights only what was known strictly before it may be used: a
departure is known from the moment at which it happened, and never before its own scheduled hour began, since 13 % of all
flights leave early, some before their own prediction time, and would otherwise be told of themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

LATE_DEPARTURE_MINUTES = 15
KEY = ("time_hour", "carrier", "flight", "origin")
NEEDED = ("year", "sched_dep_time", "sched_arr_time", "dep_delay", "tailnum", "dest", "distance")
TURNAROUND_MINUTES = 120
MILES_A_MINUTE = 7.5
DAY_SECONDS = 24 * 3600


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a flight: key, scheduled departure, label and raw features.

    `late_minutes` is the arrival delay from which on a flight is late; a cancelled or diverted flight has no label.
    """
    zone = str(parameters["timezone"])
    flights = _timed(tables["flights"], int(parameters["late_minutes"]))
    examples = with_last_of_plane(flights).withColumns(_schedule(zone))
    for by, name in ((("origin",), "origin"), (("carrier", "origin"), "carrier"), (("dest",), "destination")):
        examples = _join_recent(examples, recent_departures(flights, by, name), by)
        examples = _join_recent(examples, backlog(flights, by, name), by)
    examples = _join_recent(examples, _scheduled_in_hour(flights), ("origin",))
    return _join_references(examples, tables).na.fill(0.0, _counts())


def recent_departures(flights: DataFrame, by: tuple[str, ...], name: str) -> DataFrame:
    """By group and prediction time: mean delay (minutes) and share of late departures in the 1, 3 and 6 hours before it.

    Prediction times are whole hours, so hourly sums, each counted in the hours that follow it, are exact.
    """
    late = F.col("dep_delay") > LATE_DEPARTURE_MINUTES
    hourly = (
        flights.where(F.col("known_at").isNotNull())
        .groupBy(*by, F.date_trunc("hour", "known_at").alias("known_hour"))
        .agg(F.sum("dep_delay").alias("delay"), F.count_if(late).alias("late"), F.count("*").alias("departures"))
    )
    spread = hourly.withColumn("ago", F.explode(F.sequence(F.lit(1), F.lit(6)))).withColumn(
        "time_hour", F.col("known_hour") + F.make_interval(hours="ago")
    )

    def within(column: str, hours: int) -> Column:
        return F.sum(F.when(F.col("ago") <= hours, F.col(column)))

    return spread.groupBy(*by, "time_hour").agg(
        *((within("delay", h) / within("departures", h)).alias(f"{name}_delay_{h}h") for h in (1, 3, 6)),
        *((within("late", h) / within("departures", h)).alias(f"{name}_late_{h}h") for h in (3, 6)),
    )


def backlog(flights: DataFrame, by: tuple[str, ...], name: str) -> DataFrame:
    """By group and prediction time: flights of the three scheduled hours before it that had not left by then."""
    waiting = flights.select(*by, "departed_at", F.col("time_hour").alias("scheduled_hour")).withColumn(
        "time_hour", F.explode(F.transform(F.sequence(F.lit(1), F.lit(3)), _hours_after_schedule))
    )
    still = F.col("departed_at").isNull() | (F.col("departed_at") >= F.col("time_hour"))
    return waiting.where(still).groupBy(*by, "time_hour").agg(F.count("*").cast("double").alias(f"{name}_backlog_3h"))


def with_last_of_plane(flights: DataFrame) -> DataFrame:
    """Add what the plane's last departure, known within the day before the prediction time, says of this one.

    `plane_last_delay` (minutes); `plane_debt`, the minutes that the plane is short of for the round trip at 7.5 miles a
    minute and two hours on the ground, from 0 to 400; `plane_seen`, 1 when there was such a departure. 0 without one.
    """
    # A plane that is not named is a plane of its own: nulls would all meet in one task.
    plane = F.coalesce("tailnum", F.concat_ws(" ", *KEY))
    seen = F.struct("known_at", "scheduled_departure", "departed_at", "dep_delay", "distance")
    queries = flights.select(plane.alias("plane"), F.unix_seconds("time_hour").alias("at"), F.struct("*").alias("row"))
    events = flights.where(F.col("known_at").isNotNull() & F.col("tailnum").isNotNull()).select(
        plane.alias("plane"), F.unix_seconds("known_at").alias("at"), seen.alias("seen")
    )
    day_before = Window.partitionBy("plane").orderBy("at").rangeBetween(-DAY_SECONDS, -1)
    found = queries.unionByName(events, allowMissingColumns=True).withColumn("last", F.max("seen").over(day_before))
    rows = found.where(F.col("row").isNotNull()).select("row.*", "last")
    since = F.unix_seconds("scheduled_departure") - F.unix_seconds("last.departed_at")
    debt = TURNAROUND_MINUTES - since / 60 + 2 * F.col("last.distance") / MILES_A_MINUTE
    return rows.withColumns(
        {
            "plane_last_delay": F.coalesce("last.dep_delay", F.lit(0.0)),
            "plane_debt": F.coalesce(F.least(F.lit(400.0), F.greatest(F.lit(0.0), debt)), F.lit(0.0)),
            "plane_seen": F.col("last").isNotNull().cast("double"),
        }
    ).drop("last")


def _timed(flights: DataFrame, late_minutes: int) -> DataFrame:
    scheduled = F.col("time_hour") + F.make_interval(mins="minute")
    departed = F.timestamp_seconds(F.unix_seconds("scheduled_departure") + F.col("dep_delay") * 60)
    timed = flights.withColumn("scheduled_departure", scheduled).withColumns(
        {
            "departed_at": departed,
            "known_at": F.when(departed.isNotNull(), F.greatest(departed, "time_hour")),
            "label": (F.col("arr_delay") > late_minutes).cast("float"),
        }
    )
    return timed.select(*KEY, "scheduled_departure", "departed_at", "known_at", "label", *NEEDED)


def _schedule(zone: str) -> dict[str, Column]:
    local = F.from_utc_timestamp("time_hour", zone)
    return {
        "weekday": F.date_format(local, "E"),
        "minute_of_day": _minutes("sched_dep_time").cast("double"),
        "block_minutes": F.pmod(_minutes("sched_arr_time") - _minutes("sched_dep_time"), F.lit(1440)).cast("double"),
    }


def _minutes(clock: str) -> Column:
    """Minutes since midnight of a clock time written HHMM."""
    return F.floor(F.col(clock) / 100) * 60 + F.col(clock) % 100


def _hours_after_schedule(hours: Column) -> Column:
    return F.col("scheduled_hour") + F.make_interval(hours=hours)


def _scheduled_in_hour(flights: DataFrame) -> DataFrame:
    return flights.groupBy("origin", "time_hour").agg(F.count("*").cast("double").alias("scheduled_in_hour"))


def _join_recent(examples: DataFrame, recent: DataFrame, by: tuple[str, ...]) -> DataFrame:
    return examples.join(recent, [*by, "time_hour"], "left")


def _join_references(examples: DataFrame, tables: Mapping[str, DataFrame]) -> DataFrame:
    weather = tables["weather"].select(
        "origin", "time_hour", "temp", "humid", "wind_speed", "wind_dir", "precip", "pressure", "visib"
    )
    planes = tables["planes"].select(
        "tailnum", F.col("year").alias("plane_year"), F.col("seats").cast("double").alias("plane_seats")
    )
    airports = tables["airports"].select(
        F.col("faa").alias("dest"),
        F.col("lat").alias("destination_latitude"),
        F.col("lon").alias("destination_longitude"),
    )
    airlines = tables["airlines"].select("carrier", F.col("name").alias("airline"))
    return (
        examples.join(weather, ["origin", "time_hour"], "left")
        .join(F.broadcast(planes), "tailnum", "left")
        .join(F.broadcast(airports), "dest", "left")
        .join(F.broadcast(airlines), "carrier", "left")
        .withColumn("plane_age", (F.col("year") - F.col("plane_year")).cast("double"))
        .withColumnRenamed("dest", "destination")
    )


def _counts() -> list[str]:
    return [f"{name}_backlog_3h" for name in ("origin", "carrier", "destination")]
