"""The report's first paragraph says what was measured, and no more."""

from __future__ import annotations

import pytest

from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.verdict import GateOutcome, outcome, verdict

NAN = float("nan")
NO_GATE = GateOutcome((), ())


@pytest.mark.parametrize(
    ("metric", "difference", "expected"),
    [
        ("auc", (0.02, 0.01, 0.03), "better"),
        ("auc", (-0.02, -0.03, -0.01), "worse"),
        ("mae", (-0.02, -0.03, -0.01), "better"),
        ("log_loss", (0.02, 0.01, 0.03), "worse"),
        ("auc", (0.02, -0.01, 0.03), "no clear difference"),
        ("auc", (0.02, 0.0, 0.03), "no clear difference"),
        ("auc", (0.02, NAN, NAN), "no clear difference"),
        ("bias", (0.02, 0.01, 0.03), "no clear difference"),
        ("coverage", (0.02, 0.01, 0.03), "no clear difference"),
    ],
)
def test_an_interval_decides_who_is_better(metric: str, difference: tuple[float, float, float], expected: str) -> None:
    assert outcome(metric, ConfidenceInterval(*difference)) == expected


def test_a_better_model_that_passes() -> None:
    differences = {"gradient boosting": ConfidenceInterval(0.0072, 0.0041, 0.0102)}
    gate = GateOutcome(["auc at least 0.69"], [])
    assert verdict("binary", ConfidenceInterval(0.759, 0.754, 0.764), differences, gate, 0.95, replicates=200) == (
        "On test the model has an AUC of 0.7590 (95% interval 0.7540 to 0.7640). It is better than gradient boosting: its AUC "
        "is higher by 0.0072 (95% interval 0.0041 to 0.0102). Intervals are bootstrap intervals of 200 replicates that all "
        "models share. It passes its gate: auc at least 0.69."
    )


def test_a_worse_model_that_fails() -> None:
    differences = {"persistence": ConfidenceInterval(0.5, 0.4, 0.6), "yesterday": ConfidenceInterval(-0.5, -1.0, 0.1)}
    gate = GateOutcome(["mae at most 5"], ["mae 6.1000 > 5"])
    text = verdict("regression", ConfidenceInterval(6.1, 6.0, 6.2), differences, gate, 0.9, replicates=100)
    assert "a mean absolute error of 6.1000 (90% interval 6.0000 to 6.2000)" in text
    assert "It is worse than persistence: its mean absolute error is higher by 0.5000" in text
    assert "It is not clearly better or worse than yesterday: its mean absolute error is lower by 0.5000" in text
    assert "(90% interval -0.1000 to 1.0000), which includes 0" in text
    assert text.endswith("It does not pass its gate: mae 6.1000 > 5.")


def test_without_replicates_or_baselines_nothing_is_claimed() -> None:
    unsure = {"trees": ConfidenceInterval(0.1, NAN, NAN)}
    text = verdict("multiclass", ConfidenceInterval(0.9, NAN, NAN), unsure, NO_GATE, 0.95, replicates=0)
    assert text == (
        "On test the model has an accuracy of 0.9000. Compared with trees, its accuracy is higher by 0.1000; there is no "
        "interval that says how certain that is. It had no gate to pass."
    )
    alone = verdict("binary", ConfidenceInterval(0.7, 0.6, 0.8), {}, NO_GATE, 0.95, replicates=9)
    assert "No baseline is declared that predicts the same rows, so nothing says whether that is good." in alone
