"""What a flight may know of the others, on schedules small enough to work out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from pipelines.stages.flights import derive
from schemas.flights import EXAMPLES, SOURCES

PARAMETERS: dict[str, int | float | str] = {"late_minutes": 15, "timezone": "America/New_York"}
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)  # 7 in New York


def flight(number: int, hour: int, minute: int = 0, delay: float | None = 0.0, **other: Any) -> dict[str, Any]:
    """A flight scheduled `hour` hours after noon UTC; it leaves and arrives `delay` minutes late, or never."""
    at, local = NOON + timedelta(hours=hour), 7 + hour
    return {
        "year": 2013, "month": 3, "day": 1, "dep_time": None, "sched_dep_time": local * 100 + minute, "dep_delay": delay,
        "arr_time": None, "sched_arr_time": (local + 2) * 100 + minute, "arr_delay": delay, "carrier": "UA",
        "flight": number, "tailnum": f"N{number}A", "origin": "JFK", "dest": "ORD", "air_time": None, "distance": 750.0,
        "hour": local, "minute": minute, "time_hour": at, **other,
    }  # fmt: skip


def tables(spark: SparkSession, flights: list[dict[str, Any]]) -> dict[str, DataFrame]:
    """The five clean tables: the flights given, and one row that fits them of each of the others."""
    rows: dict[str, list[dict[str, Any]]] = {
        "flights": flights,
        "weather": [{"origin": "JFK", "time_hour": NOON, "temp": 41.0}],
        "planes": [{"tailnum": "N1A", "year": 2003, "seats": 150}],
        "airports": [{"faa": "ORD", "lat": 41.98, "lon": -87.9}],
        "airlines": [{"carrier": "UA", "name": "United"}],
    }
    frames = {}
    for name, contract in SOURCES.items():
        schema = ", ".join(f"{column.name} {column.type}" for column in contract.columns)
        data = [tuple(row.get(column) for column in contract.column_names) for row in rows[name]]
        frames[name] = spark.createDataFrame(data, schema)
    return frames


SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "one": [flight(1, 0, 30, 16.0)],
    "labels": [flight(1, 0, 0, 15.0), flight(2, 0, 0, 16.0), flight(3, 0, 0, None)],
    "midnight": [flight(1, 0, sched_dep_time=2330, sched_arr_time=115)],
    "known": [
        flight(1, 0, 10, 20.0),  # leaves 0:30, known to flights of hour 1
        flight(2, 0, 50, 40.0),  # leaves 1:30, not known before hour 2
        flight(3, 1, 0, -5.0),
        flight(4, 2, 0, 0.0),
    ],
    "on the hour": [flight(1, 0, 30, 30.0), flight(2, 1), flight(3, 2)],
    "early": [flight(1, 1, 2, -10.0), flight(2, 1, 30, 0.0), flight(3, 2)],
    "backlog": [
        flight(1, 0, 0, None),  # never leaves
        flight(2, 1, 0, 180.0),  # leaves at 4:00
        flight(3, 2, 0, 10.0),
        flight(4, 3),
        flight(5, 4),
        flight(6, 5),
    ],
    "groups": [
        flight(1, 0, 10, 20.0, origin="EWR", carrier="DL", dest="ATL"),
        flight(2, 1),
        flight(3, 1, 0, origin="EWR"),
        flight(4, 1, 5, dest="ATL"),
    ],
    "plane": [flight(1, 0, 0, 30.0, tailnum="N9A"), flight(2, 3, 0, 0.0, tailnum="N9A")],
    "unknown planes": [
        flight(1, 0, tailnum="N9A") | {"time_hour": NOON - timedelta(days=2)},
        flight(2, 3, tailnum="N9A"),
        flight(3, 0, tailnum=None),
        flight(4, 3, tailnum=None),
    ],
    "many": [flight(n, n % 5, n, delay=None if n % 7 == 0 else float(n)) for n in range(1, 40)],
}
"""Flights of a day; those of the first are in the tables beside the flights."""
Examples = dict[str, dict[int, Row]]


def weeks_before(weeks: int, row: dict[str, Any]) -> dict[str, Any]:
    """The same flight so many weeks earlier, as another one, by another plane."""
    tail = row["tailnum"] and f"{row['tailnum']}{'W' * weeks}"
    at = row["time_hour"] - timedelta(weeks=weeks)
    return {**row, "flight": 100 * weeks + row["flight"], "tailnum": tail, "time_hour": at}


@pytest.fixture(scope="module")
def examples(spark: SparkSession) -> Examples:
    """The derived examples by schedule and flight number; the schedules are a week apart, in winter."""
    flights = [weeks_before(weeks, row) for weeks, rows in enumerate(SCHEDULES.values()) for row in rows]
    derived = derive(tables(spark, flights), PARAMETERS).select(*EXAMPLES.column_names).collect()
    assert len(derived) == len(flights)
    by_schedule: Examples = {name: {} for name in SCHEDULES}
    for row in derived:
        by_schedule[[*SCHEDULES][row.flight // 100]][row.flight % 100] = row
    return by_schedule


def test_schedule_joins_and_label(examples: Examples) -> None:
    row = examples["one"][1]
    assert row.label == 1
    assert (row.weekday, row.minute_of_day, row.block_minutes) == ("Fri", 7 * 60 + 30, 120)
    assert (row.temp, row.plane_age, row.plane_seats, row.airline) == (41, 10, 150, "United")
    assert row.destination_latitude == pytest.approx(41.98)


def test_late_is_more_than_the_declared_minutes_and_a_cancelled_flight_has_no_label(examples: Examples) -> None:
    assert {number: row.label for number, row in examples["labels"].items()} == {1: 0, 2: 1, 3: None}


def test_a_flight_over_midnight_has_a_positive_length(examples: Examples) -> None:
    assert examples["midnight"][1].block_minutes == 105


def test_only_departures_before_the_scheduled_hour_are_known(examples: Examples) -> None:
    rows = examples["known"]
    assert rows[1].origin_delay_1h is None
    assert rows[3].origin_delay_1h == 20
    assert rows[4].origin_delay_1h == (40 - 5) / 2  # in the hour before: flight 2, and flight 3 from its own hour on
    assert rows[4].origin_delay_3h == pytest.approx((20 + 40 - 5) / 3)
    assert rows[4].origin_late_3h == pytest.approx(2 / 3)


def test_a_departure_on_the_hour_is_not_before_it(examples: Examples) -> None:
    rows = examples["on the hour"]
    assert rows[2].origin_delay_1h is None
    assert rows[3].origin_delay_1h == (30 + 0) / 2


def test_a_flight_that_leaves_before_its_hour_does_not_see_itself(examples: Examples) -> None:
    rows = examples["early"]
    assert rows[1].origin_delay_1h is None
    assert rows[1].plane_seen == 0
    assert rows[2].origin_delay_1h is None  # known to have left early only once its own hour has begun
    assert rows[3].origin_delay_1h == (-10 + 0) / 2


def test_the_backlog_counts_flights_of_three_hours_that_have_not_left(examples: Examples) -> None:
    backlog = {number: row.origin_backlog_3h for number, row in examples["backlog"].items()}
    assert backlog == {1: 0, 2: 1, 3: 2, 4: 2, 5: 1, 6: 0}


def test_groups_do_not_mix(examples: Examples) -> None:
    rows = examples["groups"]
    assert (rows[2].origin_delay_1h, rows[3].origin_delay_1h) == (None, 20)
    assert (rows[3].carrier_delay_3h, rows[4].destination_delay_6h) == (None, 20)


def test_the_planes_last_departure_and_its_debt(examples: Examples) -> None:
    row = examples["plane"][2]
    assert (row.plane_seen, row.plane_last_delay) == (1, 30)
    # 2 hours on the ground and 2 * 750 miles at 7.5 a minute need 320 minutes; 150 have passed since it left.
    assert row.plane_debt == pytest.approx(170)


def test_a_plane_without_a_name_and_one_last_seen_days_ago_are_unknown(examples: Examples) -> None:
    rows = examples["unknown planes"]
    assert [(rows[n].plane_seen, rows[n].plane_debt) for n in (2, 4)] == [(0, 0)] * 2


def test_no_flight_is_lost_or_doubled(examples: Examples) -> None:
    assert {name: sorted(by_number) for name, by_number in examples.items()} == {
        name: sorted(row["flight"] for row in rows) for name, rows in SCHEDULES.items()
    }
