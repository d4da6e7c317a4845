"""The report in a real browser: on a phone and on a wide screen, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, chromium
from tests.pipelines.evaluation.sample_report import wide_report

CONTRAST = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return numbers(colour)[3] === 0 ? behind(node.parentElement) : colour;
  };
  const seen = "h1,h2,.verdict,.tile span,.tile b.bad,th,td,td small,td.good,td.bad,dt,dd".split(",");
  return seen.map((selector) => {
    const node = document.querySelector(selector);
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    return [selector, (a + 0.05) / (b + 0.05)];
  });
})()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, or the tests are skipped."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the report is."""
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(wide_report(), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_and_all_is_read(browser: Browser, address: str, width: int, dark: bool) -> None:
    browser.open(address, width, dark=dark)
    assert browser.evaluate("innerWidth") == width
    browser.check_layout()
    contrasts = dict(browser.evaluate(CONTRAST))
    assert len(contrasts) == 12
    # Web Content Accessibility Guidelines 2.2, 1.4.3: 4.5 to 1 for text.
    assert {selector: ratio for selector, ratio in contrasts.items() if ratio < 4.5} == {}


def test_on_a_wide_screen_tables_stand_side_by_side(browser: Browser, address: str) -> None:
    tops = "[...document.querySelectorAll('.cards')][0].children"
    positions = f"[...{tops}].slice(0, 2).map((card) => card.getBoundingClientRect().top)"
    browser.open(address, 1280)
    first, second = browser.evaluate(positions)
    assert first == second
    browser.open(address, 390)
    first, second = browser.evaluate(positions)
    assert first < second
