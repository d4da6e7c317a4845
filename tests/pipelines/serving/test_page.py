"""The service's page in a real browser: its form comes from the input schema, and its answer from the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Browser, chromium
from tests.pipelines.serving.running import ROW, Running

pytestmark = pytest.mark.slow
READY = "!document.querySelector('#main').hidden"
ANSWERED = "!document.querySelector('#send').disabled && document.querySelector('#result').innerText"
FAILED = "document.querySelector('[aria-invalid]') !== null"
WIDTHS = pytest.mark.parametrize("width", [390, 1280])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, or the tests are skipped."""
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, service: Running, width: int) -> Browser:
    """The page of the tiny model, as wide as a phone or a screen, with its example row filled in."""
    browser.open(f"http://127.0.0.1:{service.port}/", width, dark=width < 600)
    browser.wait_for(READY)
    return browser


@WIDTHS
def test_the_form_comes_from_the_input_schema(page: Browser) -> None:
    inputs = page.evaluate("Object.fromEntries([...document.querySelectorAll('.field [name]')].map((i) => [i.name, i.value]))")
    assert inputs == {
        "distance": "1400", "seats": "189", "temp": "40", "delay_1h": "12.5", "holiday": "false",
        "moment": "2013-07-04T12:00:00Z", "origin": "JFK", "airline": "B6", "past_temp": "38, 39, 40",
    }  # fmt: skip
    assert page.text("#input-distance-hint") == "miles, 1 to 6000"
    assert page.evaluate("[...document.querySelectorAll('#input-origin option')].map((o) => o.value)") == ["EWR", "JFK", "LGA"]
    assert page.evaluate("[...document.querySelectorAll('#input-holiday option')].map((o) => o.text)") == [
        "missing", "true", "false",
    ]  # fmt: skip
    computed = "[...document.querySelectorAll('details [name]')].map((input) => input.name)"
    assert page.evaluate(computed) == ["delay_1h", "past_temp"]
    page.check_layout()


@WIDTHS
def test_a_row_is_predicted_and_what_moved_it_is_drawn(page: Browser, service: Running) -> None:
    page.fill("#input-distance", "300")
    page.click("#send")
    assert page.wait_for(ANSWERED) in ("on time", "late")
    expected = service.call("POST", "/explain", {**ROW, "distance": 300}).json
    probability, threshold = (expected["prediction"][name] for name in ("probability", "threshold"))
    assert page.text("#result") == expected["prediction"]["class"]
    assert f"Probability of late: {probability:.1%}. From {threshold:.1%}" in page.text("#detail")
    drawn = page.evaluate("document.querySelector('#meter div').offsetWidth / document.querySelector('#meter').offsetWidth")
    assert drawn == pytest.approx(probability, abs=0.01)
    mark = page.evaluate("document.querySelector('#meter span').offsetLeft / document.querySelector('#meter').offsetWidth")
    assert mark == pytest.approx(threshold, abs=0.02)
    bars = page.evaluate("[...document.querySelectorAll('.bar')].map((bar) => [bar.title.split(':')[0], bar.innerText.length])")
    assert [name for name, _ in bars] == [each["name"] for each in expected["effects"]]
    widths = page.evaluate("[...document.querySelectorAll('.bar .track div')].map((bar) => bar.getBoundingClientRect().width)")
    sizes = [abs(each["effect"]) for each in expected["effects"]]
    assert [width / widths[0] for width in widths] == pytest.approx([size / sizes[0] for size in sizes], abs=0.02)
    assert page.text("#latency").startswith("Scored in ") and " ms by" not in page.text("#latency")
    assert page.evaluate("document.querySelector('#answer').getBoundingClientRect().top < innerHeight / 2")
    page.check_layout()


@WIDTHS
def test_a_wrong_value_shows_its_fields_error(page: Browser) -> None:
    page.fill("#input-distance", "-5")
    page.click("#send")
    page.wait_for(FAILED)
    assert page.text("#input-distance-error") == "received -5; expected a number from 1 to 6000 miles."
    assert page.text("#input-seats-error") == ""
    assert page.evaluate("document.activeElement.id") == "input-distance"
    assert page.evaluate("document.querySelector('#output').hidden") is True
    page.check_layout()
    page.fill("#input-distance", "500")
    page.evaluate("document.querySelector('details').open = true")
    page.fill("#input-past_temp", "38, many, 40")
    page.evaluate("document.querySelector('details').open = false")
    page.click("#send")
    page.wait_for("document.querySelector('details').open")  # the wrong value is in there
    assert "many" in page.text("#input-past_temp-error")
    assert page.text("#input-distance-error") == ""
    page.fill("#input-past_temp", "38, , 40")
    page.click("#send")
    page.wait_for(ANSWERED)
    assert page.evaluate("document.querySelectorAll('[aria-invalid]').length") == 0
