"""The report stands alone and says what it was given."""

import re

import numpy as np
import pytest

from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import all_metrics
from pipelines.evaluation.plots import binary_plots, training_plot
from pipelines.evaluation.report import Findings, render


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
            task="binary",
            facts={"model": "/models/m1"},
            metrics={**metrics, "Gradient boosting": {"auc": 0.691}},
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
    names = ("Training", "ROC", "Precision and recall", "Calibration", "Confusion at 0.500, validation")
    assert [name for name in names if f"<h2>{name}</h2>" not in html] == []
    assert html.count("<svg") == 6
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
