"""The section `schedule`: crons, windows and days are checked, and what is wrong is named."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.config import ScheduleConfig, read_config
from pipelines.config.schedule import check_cron
from tests.root import ROOT

LEAST: dict[str, Any] = {"cron": "0 3 * * *", "start": "2013-01-01"}


@pytest.mark.parametrize(
    "cron", ["0 3 * * *", "59 23 1,15 * *", "0 0 1 */3 *", "5 4 * jan-mar MON", "0 6 * * 1-5", "0 6 * * 7"]
)
def test_a_cron_expression_that_runs_at_most_once_a_day_is_accepted(cron: str) -> None:
    assert check_cron(cron) == cron


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("@daily", "'@daily' has 1 fields; expected five"),
        ("0 3 * *", "has 4 fields; expected five"),
        ("60 3 * * *", "'60' is no minute; expected *, a number from 0 to 59"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 3 0 * *", "'0' is no day of the month"),
        ("0 3 * 13 *", "'13' is no month; expected *, a number from 1 to 12 or jan to dec"),
        ("0 3 * * monday", "'monday' is no day of the week; expected *, a number from 0 to 7 or sun to sat"),
        ("0 3 * * 5-1", "'5-1' is no day of the week"),
        ("0 3 1, * *", "'' is no day of the month"),
        ("0 3 * * 2/2", "'2/2' is no day of the week"),
        ("0 * * * *", "runs more than once a day; expected one minute and one hour"),
        ("0,30 3 * * *", "runs more than once a day"),
    ],
)
def test_any_other_cron_expression_is_refused(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_cron(cron)


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ({"cron": "hourly"}, "cron", "has 1 fields"),
        ({"end": "2013-01-01"}, "", "end (2013-01-01) must be after start (2013-01-01)"),
        ({"timezone": "New York"}, "timezone", "unknown time zone"),
        ({"retries": -1}, "retries", "greater than or equal to 0"),
        ({"retry_delay": "5"}, "retry_delay", "expected a number above 0 and minutes, hours"),
        ({"training": {"cron": "0 4 * * 1", "window": "12 hours"}}, "training.window", "is no window of whole days"),
        ({"training": {"cron": "0 4 * * 1"}}, "training.window", "Field required"),
        ({"catchup": False}, "catchup", "Extra inputs"),
    ],
)
def test_a_wrong_key_of_the_schedule_is_named(section: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ScheduleConfig.model_validate({**LEAST, **section})
    (error,) = raised.value.errors()
    assert (".".join(map(str, error["loc"])), message in error["msg"]) == (key, True), error


def test_the_nightly_example_has_a_schedule_and_the_year_has_none() -> None:
    schedule = read_config(ROOT / "conf" / "flights_nightly.yaml").schedule
    assert schedule is not None
    assert (schedule.start, schedule.end, schedule.retry_delay) == (date(2013, 1, 1), date(2013, 3, 2), timedelta(minutes=30))
    assert schedule.training is not None
    assert schedule.training.window == "28 days"
    assert read_config(ROOT / "conf" / "flights.yaml").schedule is None
