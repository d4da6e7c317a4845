"""Metrics of several classes and of numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from pipelines.evaluation.multiclass import multiclass_metrics
from pipelines.evaluation.regression import Errors, regression_metrics


@pytest.mark.parametrize("classes", [2, 5])
def test_classes(classes: int) -> None:
    random = np.random.default_rng(classes)
    true, predicted = random.integers(0, classes, 200), random.integers(0, max(classes - 1, 1), 200)  # one is never predicted
    ours = multiclass_metrics(metrics.confusion_matrix(true, predicted, labels=range(classes)).astype(float), losses=50.0)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    expected = metrics.precision_recall_fscore_support(true, predicted, average="macro", zero_division=0)
    assert (ours["macro_precision"], ours["macro_recall"], ours["macro_f1"]) == pytest.approx(expected[:3])
    assert (ours["log_loss"], ours["rows"]) == (0.25, 200)


def test_classes_that_do_not_occur_count_for_nothing() -> None:
    confusion = np.zeros((4, 4))
    confusion[0, 0], confusion[1, 1] = 3, 1
    assert multiclass_metrics(confusion, 0.0)["macro_f1"] == 1


def test_numbers() -> None:
    random = np.random.default_rng(3)
    true = random.normal(50, 20, (300, 4))
    predicted = true + random.normal(1, 5, true.shape)
    error = predicted - true
    values = (np.ones_like(true), error, np.abs(error), error**2, true, true**2, error >= 0)
    ours = regression_metrics(Errors(*(value.sum(axis=0) for value in values)))
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(true, predicted))
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(true.ravel(), predicted.ravel()))
    assert ours["r2"] == pytest.approx(metrics.r2_score(true.ravel(), predicted.ravel()))
    assert (ours["bias"], ours["rows"]) == pytest.approx((error.mean(), 300))
    assert ours["coverage"] == pytest.approx((true <= predicted).mean())
