"""The flights pipeline's own derivation: what is known of a flight at the start of its scheduled hour of departure.

A flight's prediction time is its `time_hour`. Of other flights only what was known strictly before it may be used: a
departure is known from the moment at which it happened, and never before its own scheduled hour began, since 13 % of all
flights leave early, some before their own prediction time, and their features would otherwise hold their own departure.
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
HOUR_SECONDS, DAY_SECONDS = 3600, 24 * 3600
WAITED_HOURS = (1, 2, 3)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a flight: key, scheduled departure, label and raw features.

    `late_minutes` is the arrival delay from which on a flight is late; a cancelled or diverted flight has no label.
    """
    zone = str(parameters["timezone"])
    flights = _timed(tables["flights"], int(parameters["late_minutes"]))
    examples = with_last_of_plane(flights).withColumns(_schedule(zone))
    for by, name in ((("origin",), "origin"), (("carrier", "origin"), "carrier"), (("dest",), "destination")):
        examples = examples.join(recent_hours(flights, by, name), [*by, "time_hour"], "left")
    examples = examples.withColumnRenamed("origin_scheduled", "scheduled_in_hour")
    return _join_references(examples, tables).na.fill(0.0, _counts())


def recent_hours(flights: DataFrame, by: tuple[str, ...], name: str) -> DataFrame:
    """By group and prediction time: what was known of the group's flights in the hours before it.

    `<name>_delay_<h>h` is the mean departure delay (minutes) and `<name>_late_<h>h` the share of late departures in the 1, 3
    and 6 hours before; `<name>_backlog_3h` counts the flights of the three scheduled hours before that had not left by then;
    `<name>_scheduled` counts the flights of the hour itself. Prediction times are whole hours, so hourly sums are exact.
    """
    hourly = _hourly_events(flights, by).groupBy(*by, "at").agg(*_hourly_sums())
    ordered = Window.partitionBy(*by).orderBy("at")

    def within(column: str, hours: int) -> Column:
        return F.sum(column).over(ordered.rangeBetween(-hours * HOUR_SECONDS, -HOUR_SECONDS))

    delays = {f"{name}_delay_{h}h": within("delay", h) / within("departures", h) for h in (1, 3, 6)}
    lates = {f"{name}_late_{h}h": within("late", h) / within("departures", h) for h in (3, 6)}
    recent = hourly.select(
        *by,
        F.timestamp_seconds("at").alias("time_hour"),
        *(value.alias(column) for column, value in {**delays, **lates}.items()),
        F.col("waiting").cast("double").alias(f"{name}_backlog_3h"),
        F.col("scheduled").cast("double").alias(f"{name}_scheduled"),
    )
    return recent.where(F.col(f"{name}_scheduled") > 0)


def _hourly_events(flights: DataFrame, by: tuple[str, ...]) -> DataFrame:
    """Each flight as rows of its group that add to an hour (`at`, seconds since 1970): scheduled in it, departed in it (the
    hour in which that became known), and waiting at the start of each of the three hours after its own.
    """
    scheduled_hour, departed = F.unix_seconds("time_hour"), F.unix_seconds("departed_at")
    known = F.unix_seconds("known_at")
    has_waited = {hours: departed.isNull() | (departed >= scheduled_hour + hours * HOUR_SECONDS) for hours in WAITED_HOURS}
    hours = {
        "scheduled": scheduled_hour,
        "departed": known - known % HOUR_SECONDS,
        **{f"waiting_{h}": F.when(has, scheduled_hour + h * HOUR_SECONDS) for h, has in has_waited.items()},
    }
    # Of one pass over the flights five rows each, of which those without an hour go.
    each = flights.select(*by, "dep_delay", *(hour.alias(event) for event, hour in hours.items()))
    return each.unpivot([*by, "dep_delay"], list(hours), "event", "at").where(F.col("at").isNotNull())


def _hourly_sums() -> list[Column]:
    """Aggregates of an hour's events; null where it has none of a kind, so that no mean divides by 0."""
    event, one = F.col("event"), F.lit(1)
    departed = event == "departed"
    values = {
        "delay": F.when(departed, F.col("dep_delay")),
        "late": F.when(departed, (F.col("dep_delay") > LATE_DEPARTURE_MINUTES).cast("int")),
        "departures": F.when(departed, one),
        "waiting": F.when(event.startswith("waiting"), one),
        "scheduled": F.when(event == "scheduled", one),
    }
    return [F.sum(value).alias(name) for name, value in values.items()]


def with_last_of_plane(flights: DataFrame) -> DataFrame:
    """Add what the plane's last departure, known within the day before the prediction time, says of this one.

    `plane_last_delay` (minutes); `plane_debt`, the minutes that the plane is short of for the round trip at 7.5 miles a
    minute and two hours on the ground, from 0 to 400; `plane_seen`, 1 when there was such a departure. 0 without one.
    """
    # A plane that is not named is a plane of its own: nulls would all meet in one task.
    plane = F.coalesce("tailnum", F.concat_ws(" ", *KEY))
    departure = F.struct("known_at", "scheduled_departure", "departed_at", "dep_delay", "distance")
    known = F.col("known_at").isNotNull() & F.col("tailnum").isNotNull()
    queries = flights.withColumns({"plane": plane, "at": F.unix_seconds("time_hour"), "is_query": F.lit(True)})
    known_at = F.unix_seconds("known_at").alias("at")
    events = flights.where(known).select(
        plane.alias("plane"), known_at, F.lit(False).alias("is_query"), departure.alias("departure")
    )
    # The newest of all departures before, which a growing frame keeps; one that is older than a day is dropped afterwards.
    before = Window.partitionBy("plane").orderBy("at").rangeBetween(Window.unboundedPreceding, -1)
    rows = queries.unionByName(events, allowMissingColumns=True).withColumn("last", F.max("departure").over(before))
    within_a_day = F.unix_seconds("last.known_at") >= F.col("at") - DAY_SECONDS
    rows = rows.where("is_query").withColumn("last", F.when(within_a_day, F.col("last")))
    since = F.unix_seconds("scheduled_departure") - F.unix_seconds("last.departed_at")
    debt = TURNAROUND_MINUTES - since / 60 + 2 * F.col("last.distance") / MILES_A_MINUTE
    return rows.withColumns(
        {
            "plane_last_delay": F.coalesce("last.dep_delay", F.lit(0.0)),
            "plane_debt": F.coalesce(F.least(F.lit(400.0), F.greatest(F.lit(0.0), debt)), F.lit(0.0)),
            "plane_seen": F.col("last").isNotNull().cast("double"),
        }
    ).drop("last", "departure", "plane", "at", "is_query")


def _timed(flights: DataFrame, late_minutes: int) -> DataFrame:
    # In seconds: Spark adds an interval by a calendar, which takes many times as long.
    scheduled = F.timestamp_seconds(F.unix_seconds("time_hour") + F.col("minute") * 60)
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
        "weekday": F.element_at(F.array(*map(F.lit, WEEKDAYS)), F.weekday(local) + 1),  # a format would take a second
        "minute_of_day": _minutes("sched_dep_time").cast("double"),
        "block_minutes": F.pmod(_minutes("sched_arr_time") - _minutes("sched_dep_time"), F.lit(1440)).cast("double"),
    }


def _minutes(clock: str) -> Column:
    """Minutes since midnight of a clock time written HHMM."""
    return F.floor(F.col(clock) / 100) * 60 + F.col(clock) % 100


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
