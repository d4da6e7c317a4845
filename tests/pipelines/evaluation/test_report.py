"""The report stands alone and says what it was given."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import all_metrics
from pipelines.evaluation.plots import binary_plots, training_plot
from pipelines.evaluation.report import Findings, Grid, flattened, render


@pytest.fixture(scope="module")
def html() -> str:
    """A report on made-up predictions."""
    scores = np.linspace(0.01, 0.99, 1000)
    curves = {name: Curve.of(scores, 100 * scores, 100 * (1 - scores)) for name in ("validation", "test")}
    losses = [(0.7, 0.71), (0.6, 0.63), (0.5, 0.65)]
    history = [
        {"epoch": epoch, "train_loss": train, "validation_loss": other, "validation_auc": 0.8, "best": epoch == 1}
        for epoch, (train, other) in enumerate(losses)
    ]
    metrics = {name: all_metrics(curve, 0.5, 10) for name, curve in curves.items()}
    return render(
        Findings(
            title="Late & <b>bold</b>",
            verdict="It is better. It passes its gate.",
            passed=True,
            task="binary",
            facts={"model": "/models/m1"},
            metrics={**metrics, "Gradient boosting": {"auc": 0.691}},
            first=[Grid("Rows", ("step", "source", "in"), [("ingest", "flights", "1,000")], words=2)],
            grids=[
                Grid("Test rows by origin", ("origin", "rows"), [("EWR", "500")], "Not shown: 2 groups."),
                Grid("None", (), []),
            ],
            settings=flattened("", {"train": {"network": {"hidden": [128, 64], "dropout": 0.1}}}),
            plots={"Training": training_plot(history), **binary_plots(curves, 0.5, ("on time", "late"), bins=10)},
            drift=[("test", "temp", "1.200", "0.410", "+0.1%")],
        )
    )


def test_it_loads_nothing_from_elsewhere(html: str) -> None:
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)""", html)
    loaded = [address for address in loaded if not address.startswith("data:image/png;base64,")]
    assert loaded == []
    assert "@import" not in html
    assert "<script" not in html


def test_all_plots_are_there(html: str) -> None:
    names = ("Training", "Threshold", "ROC", "Precision and recall", "Calibration", "Confusion at 0.500, validation")
    assert [name for name in names if f"<h2>{name}</h2>" not in html] == []
    assert html.count("<svg") == 7
    assert "on time" in html
    assert "kept: epoch 2" in html


def test_numbers_stand_beside_the_yardsticks(html: str) -> None:
    assert re.search(r"<td>auc</td><td>0\.8\d+</td><td>0\.8\d+</td><td>0\.6910</td>", html)


def test_text_is_escaped(html: str) -> None:
    assert "Late &amp; &lt;b&gt;bold&lt;/b&gt;" in html


def test_what_moved_is_there(html: str) -> None:
    assert "<td>test</td><td>temp</td><td>1.200</td><td>0.410</td><td>+0.1%</td>" in html


def test_without_metrics_there_is_no_table_of_them() -> None:
    only = render(Findings(title="moved", task="binary", facts={}, intervals=[("January", "temp", "0.100", "", "+0.0%")]))
    assert "<th>metric</th>" not in only
    assert "train split" not in only
    assert "<td>January</td><td>temp</td>" in only


class Page(HTMLParser):
    """The page's elements in order, each with its attributes and the elements that it lies in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.elements.append((tag, given, list(self._open)))
        if tag not in ("meta", "br", "path", "use"):
            self._open.append(f"{tag}.{given.get('class', '')}")

    def handle_endtag(self, tag: str) -> None:
        while self._open and not self._open.pop().startswith(f"{tag}."):
            pass


def test_it_opens_with_the_verdict(html: str) -> None:
    texts = [tag for tag, _, within in Page(html).elements if within[:2] == ["html.", "body."] and len(within) == 2]
    assert texts[:3] == ["h1", "p", "section"]
    assert '<p class="verdict passed">It is better. It passes its gate.</p>' in html


def test_nothing_is_wider_than_a_phone(html: str) -> None:
    elements = Page(html).elements
    assert all(within[-1] == "div.scroll" for tag, _, within in elements if tag == "table")
    drawings = [given for tag, given, within in elements if tag == "svg"]
    assert drawings and all("viewbox" in given for given in drawings)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "svg { display: block; width: 100%; max-width: 36rem; height: auto; }" in style
    assert ".scroll { max-width: 100%; overflow-x: auto;" in style
    # Columns of plots shrink below their least width on a screen that is narrower.
    assert [least for least in re.findall(r"minmax\(([^,]+)", style) if least.endswith(("px", "rem"))] == ["5rem"]
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html


def test_drawings_are_read_by_day_and_by_night(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    drawings = html[html.index("<svg") :]
    assert not re.search(r"fill: #ffffff(?![^>]*>[^<]*<)", re.sub(r"<text.*?</text>", "", drawings, flags=re.DOTALL))
    assert "currentColor !important" in html


def test_intervals_stand_below_their_metrics() -> None:
    bounds = {"test": {"auc": ConfidenceInterval(0.83, 0.81, 0.85), "f1": ConfidenceInterval(0.5, float("nan"), float("nan"))}}
    metrics = {"validation": {"auc": 0.82, "f1": 0.4}, "test": {"auc": 0.83, "f1": 0.5}}
    only = render(Findings(title="sure", task="binary", facts={}, metrics=metrics, bounds=bounds))
    assert "<td>auc</td><td>0.8200</td><td>0.8300<small>0.8100 to 0.8500</small></td>" in only
    assert "<td>f1</td><td>0.4000</td><td>0.5000</td>" in only


def test_tables_of_text_are_there_and_empty_ones_are_not(html: str) -> None:
    assert "<td>ingest</td><td>flights</td><td>1,000</td>" in html
    assert "<p>Not shown: 2 groups.</p>" in html
    assert "<h2>None</h2>" not in html


def test_settings_are_listed_one_by_one(html: str) -> None:
    assert "<dt>train.network.hidden</dt><dd>128, 64</dd>" in html
    assert "<dt>train.network.dropout</dt><dd>0.1</dd>" in html


def test_the_axis_says_which_loss_it_is() -> None:
    history = [{"epoch": 0, "train_loss": 1.0, "validation_loss": 1.0, "validation_mae": 3.0, "best": True}]
    assert "absolute error (deviations, a row)" in training_plot(history, "validation_mae", "absolute")
    assert "squared error" in training_plot(history, "validation_mae", "squared")
