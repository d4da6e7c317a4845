"""Calibrations are scikit-learn's, and plain data."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from pipelines.bundles.calibration import Calibration
from pipelines.errors import DataError
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import auc, calibration_error
from pipelines.evaluation.recalibration import calibrate, calibrated, fit_isotonic, fit_platt

ANY: TypeAdapter[Calibration] = TypeAdapter(Calibration)


def sample(levels: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Scores that are too sure of themselves, many of them equal, and labels."""
    random = np.random.default_rng(levels)
    scores = random.integers(1, levels, 3000) / levels
    return scores, (random.random(3000) < 0.3 + 0.4 * scores**2).astype(np.int64)


def curve(scores: np.ndarray[tuple[int], np.dtype[np.float64]], labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Curve:
    distinct, index = np.unique(scores, return_inverse=True)
    return Curve.of(distinct, np.bincount(index, labels), np.bincount(index, 1 - labels))


@pytest.mark.parametrize("levels", [7, 10_000])
def test_isotonic_is_scikit_learns(levels: int) -> None:
    scores, labels = sample(levels)
    fitted = fit_isotonic(curve(scores, labels))
    peer = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    anywhere = np.linspace(-0.1, 1.1, 500)
    np.testing.assert_allclose(fitted.apply(anywhere), peer.predict(anywhere), atol=1e-9)
    assert ANY.validate_json(fitted.model_dump_json()) == fitted


def test_platt_is_an_unpenalized_logistic_regression_of_the_logit() -> None:
    scores, labels = sample(1000)
    fitted = fit_platt(curve(scores, labels))
    logits = np.log(scores / (1 - scores))[:, None]
    peer = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(logits, labels)
    assert (fitted.slope, fitted.intercept) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), abs=1e-5)
    np.testing.assert_allclose(fitted.apply(scores), peer.predict_proba(logits)[:, 1], atol=1e-6)
    assert ANY.validate_json(fitted.model_dump_json()) == fitted


def test_a_calibrated_curve_is_calibrated_and_ranks_no_better() -> None:
    before = curve(*sample(500))
    for method in ("isotonic", "platt"):
        after = calibrated(before, calibrate(method, before))
        assert (after.rows, after.positives.sum()) == (before.rows, before.positives.sum())
        assert calibration_error(before, 10) > 0.1
        assert calibration_error(after, 10) < 0.03
        assert auc(after) == pytest.approx(auc(before), abs=0.02)


def test_one_class_is_not_calibrated() -> None:
    with pytest.raises(DataError, match="the validation split has only one class; expected both"):
        calibrate("platt", Curve.of(np.array([0.5]), np.array([3]), np.array([0])))
