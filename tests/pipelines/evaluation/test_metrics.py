"""Every metric is scikit-learn's on the same predictions, to 1e-9."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from pipelines.config import Costs, EvaluateConfig
from pipelines.errors import DataError, QualityError
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import (
    all_metrics,
    auc,
    best_f1_threshold,
    calibration_error,
    cheapest_threshold,
    choose_threshold,
    confusion,
    precise_threshold,
)

EPS = np.finfo(np.float32).eps
Floats = npt.NDArray[np.float32]


def curve(scores: Floats, labels: npt.NDArray[np.int64]) -> Curve:
    """Counts by distinct score, as Spark groups them, in no order."""
    distinct, index = np.unique(scores, return_inverse=True)
    positives, negatives = (np.bincount(index, labels == label, len(distinct)) for label in (1, 0))
    mixed = np.random.default_rng(0).permutation(len(distinct))
    return Curve.of(distinct[mixed], positives[mixed], negatives[mixed])


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Scores with many ties, 0 and 1 among them, and labels of both classes."""
    rows = draw(st.integers(2, 60))
    grid = draw(st.sampled_from([3, 10, 1000]))
    scores = np.array(draw(st.lists(st.integers(0, grid), min_size=rows, max_size=rows)), np.float32) / np.float32(grid)
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))]
    return scores, np.array(labels)


@given(predictions(), st.floats(0, 1))
def test_all_metrics_are_scikit_learns(predicted: tuple[Floats, npt.NDArray[np.int64]], threshold: float) -> None:
    scores, labels = predicted
    verdict = scores.astype(float) >= threshold
    tn, fp, fn, tp = peer.confusion_matrix(labels, verdict, labels=[0, 1]).ravel()
    expected = {
        "auc": peer.roc_auc_score(labels, scores),
        "average_precision": peer.average_precision_score(labels, scores),
        "log_loss": peer.log_loss(
            labels, np.clip(scores.astype(float), np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps)
        ),
        "brier": peer.brier_score_loss(labels, scores.astype(float)),
        "accuracy": peer.accuracy_score(labels, verdict),
        "precision": peer.precision_score(labels, verdict, zero_division=0),
        "recall": peer.recall_score(labels, verdict, zero_division=0),
        "f1": peer.f1_score(labels, verdict, zero_division=0),
        "true_positives": tp,
        "false_positives": fp,
        "false_negatives": fn,
        "true_negatives": tn,
        "rows": len(labels),
        "threshold": threshold,
    }
    ours = all_metrics(curve(scores, labels), threshold, bins=10)
    ours.pop("calibration_error")
    assert ours == pytest.approx(expected, rel=0, abs=1e-9)


@given(predictions())
def test_no_threshold_gives_a_better_f1(predicted: tuple[Floats, npt.NDArray[np.int64]]) -> None:
    scores, labels = predicted
    chosen = best_f1_threshold(curve(scores, labels))
    best = max(peer.f1_score(labels, scores >= threshold, zero_division=0) for threshold in np.unique(scores))
    assert peer.f1_score(labels, scores.astype(float) >= chosen, zero_division=0) == pytest.approx(best, abs=1e-12)


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.1, 0.15, 0.8, 0.9, 1.0], np.float32)
    labels = np.array([0, 1, 1, 1, 0])
    # Two bins: mean score 0.125 against share 0.5 in two rows, mean 0.9 against 2/3 in three.
    expected = (2 * 0.375 + 3 * (0.9 - 2 / 3)) / 5
    assert calibration_error(curve(scores, labels), 2) == pytest.approx(expected, abs=1e-7)


def test_a_score_on_the_threshold_is_a_positive() -> None:
    counts = confusion(curve(np.array([0.5, 0.4], np.float32), np.array([1, 0])), 0.5)
    assert counts == (1, 0, 0, 1)


def test_one_class_has_no_auc() -> None:
    with pytest.raises(DataError, match="needs both classes"):
        auc(curve(np.array([0.5, 0.4], np.float32), np.array([1, 1])))


def hand_curve() -> Curve:
    """Scores 0.9 to 0.5 with one row each: positive, negative, positive, positive, negative."""
    return Curve.of(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 1, 1, 0]), np.array([0, 1, 0, 0, 1]))


@pytest.mark.parametrize(
    ("false_positive", "false_negative", "expected"),
    [
        (1, 1, 0.6),  # 0.9: 2 missed cost 2; 0.6: 1 wrong costs 1
        (3, 1, 0.9),  # 0.9: 2; 0.6: 3
        (0, 1, 0.6),  # every positive is seen there, and at 0.5, which is lower
        (1, 0, np.nextafter(0.9, 1)),  # nothing is gained by any verdict
    ],
)
def test_the_threshold_of_least_cost_by_hand(false_positive: float, false_negative: float, expected: float) -> None:
    assert cheapest_threshold(hand_curve(), Costs(false_positive=false_positive, false_negative=false_negative)) == expected


def test_a_precision_floor_takes_the_greatest_recall_by_hand() -> None:
    # Precision at 0.9 is 1, at 0.8 1/2, at 0.7 2/3, at 0.6 3/4, at 0.5 3/5.
    assert [precise_threshold(hand_curve(), floor) for floor in (1.0, 0.75, 0.7, 0.6)] == [0.9, 0.6, 0.6, 0.5]
    worse = Curve.of(np.array([0.9, 0.8]), np.array([0, 1]), np.array([1, 0]))
    with pytest.raises(QualityError, match=r"no threshold has a precision of 0\.9 on validation; the greatest is 0\.5000"):
        precise_threshold(worse, 0.9)


def test_the_configuration_chooses_the_threshold() -> None:
    costs = EvaluateConfig(threshold_by="cost", costs=Costs(false_positive=3, false_negative=1))
    floor = EvaluateConfig(threshold_by="precision", minimum_precision=1.0)
    thresholds = [choose_threshold(hand_curve(), config)[0] for config in (EvaluateConfig(), costs, floor)]
    assert thresholds == [0.6, 0.9, 0.9]
