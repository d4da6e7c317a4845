"""Metrics of each replicate are scikit-learn's with its weights; intervals are SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as peer

from pipelines.errors import DataError
from pipelines.evaluation.bootstrap import Replicates, confidence_interval, paired_difference
from pipelines.evaluation.replicates import BinaryReplicates, MulticlassReplicates, RegressionReplicates, parts
from pipelines.evaluation.weights import POISSON, poisson_weights

EPS = np.finfo(np.float32).eps
DRAWN = range(9)


def batch(row_ids: Any, **columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"row_id": np.asarray(row_ids, np.int64), **columns})


@pytest.mark.parametrize("levels", [3, 40, 10**6])
def test_binary_replicates_are_scikit_learns(levels: int) -> None:
    random = np.random.default_rng(levels)
    rows, threshold, bins = 3000, 0.45, 10
    scores = (random.integers(0, levels + 1, rows) / levels).astype(np.float32)
    labels = (random.random(rows) < 0.2 + 0.5 * scores).astype(np.float32)
    order = np.lexsort([np.arange(rows), -scores])
    ids, scores, labels = random.integers(-(2**63), 2**63, rows)[order], scores[order], labels[order]
    accumulator = BinaryReplicates(len(DRAWN), threshold, bins)
    weights = poisson_weights(ids, DRAWN)
    # Parts of odd sizes cut groups of equal scores.
    for start in range(0, rows, 701):
        cut = slice(start, start + 701)
        accumulator.add(batch(ids[cut], score=scores[cut], label=labels[cut]), weights[cut].astype(float))
    ours = accumulator.metrics()
    wide, verdict = scores.astype(float), scores.astype(float) >= threshold
    for at, weight in enumerate(weights.T.astype(float)):
        given = {"sample_weight": weight}
        expected = {
            "auc": peer.roc_auc_score(labels, wide, **given),
            "average_precision": peer.average_precision_score(labels, wide, **given),
            "log_loss": peer.log_loss(labels, np.clip(wide, EPS, 1 - EPS), **given),
            "brier": peer.brier_score_loss(labels, wide, **given),
            "accuracy": peer.accuracy_score(labels, verdict, **given),
            "precision": peer.precision_score(labels, verdict, zero_division=0, **given),
            "recall": peer.recall_score(labels, verdict, **given),
            "f1": peer.f1_score(labels, verdict, **given),
        }
        assert {name: ours[name][at] for name in expected} == pytest.approx(expected, rel=0, abs=1e-9)
        bin_of = np.minimum((wide * bins).astype(int), bins - 1)
        gaps = [abs((weight * (wide - labels))[bin_of == index].sum()) for index in range(bins)]
        assert ours["calibration_error"][at] == pytest.approx(sum(gaps) / weight.sum(), abs=1e-9)


def test_replicates_of_classes_are_scikit_learns() -> None:
    random = np.random.default_rng(1)
    ids, labels, predicted = np.arange(500), random.integers(0, 6, 500), random.integers(0, 5, 500)
    losses = random.exponential(size=500)
    accumulator = MulticlassReplicates(len(DRAWN), 8)
    weights = poisson_weights(ids, DRAWN)
    for part in parts(batch(ids, label=labels, predicted=predicted, loss=losses)):
        accumulator.add(part, weights.astype(float))
    ours = accumulator.metrics()
    for at, weight in enumerate(weights.T.astype(float)):
        macro = peer.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0, sample_weight=weight)
        expected = {
            "accuracy": peer.accuracy_score(labels, predicted, sample_weight=weight),
            "log_loss": np.average(losses, weights=weight),
            **dict(zip(("macro_precision", "macro_recall", "macro_f1"), macro[:3], strict=True)),
        }
        assert {name: values[at] for name, values in ours.items()} == pytest.approx(expected, rel=0, abs=1e-9)


def test_replicates_of_numbers_are_scikit_learns() -> None:
    random = np.random.default_rng(2)
    ids, true = np.arange(400), random.normal(50, 20, (400, 3))
    predicted = true + random.normal(1, 5, true.shape)
    weights = poisson_weights(ids, DRAWN)
    accumulator = RegressionReplicates(len(DRAWN))
    rows = batch(ids, true=pa.array(true.tolist()), predicted=pa.array(predicted.tolist()))
    for cut in (slice(0, 150), slice(150, 400)):
        accumulator.add(rows.slice(cut.start, cut.stop - cut.start), weights[cut].astype(float))
    ours = accumulator.metrics()
    for at, weight in enumerate(weights.T.astype(float)):
        every, errors = np.repeat(weight, 3), (predicted - true).ravel()
        expected = {
            "mae": peer.mean_absolute_error(true.ravel(), predicted.ravel(), sample_weight=every),
            "rmse": peer.root_mean_squared_error(true.ravel(), predicted.ravel(), sample_weight=every),
            "bias": np.average(errors, weights=every),
            "r2": peer.r2_score(true.ravel(), predicted.ravel(), sample_weight=every),
            "coverage": np.average((true <= predicted).ravel(), weights=every),
        }
        assert {name: values[at] for name, values in ours.items()} == pytest.approx(expected, rel=0, abs=1e-9)


def test_a_step_without_a_number_counts_for_nothing() -> None:
    accumulator = RegressionReplicates(1)
    rows = batch([1, 2], true=pa.array([[1.0, None], [3.0, 4.0]]), predicted=pa.array([[2.0, 2.0], [3.0, 6.0]]))
    accumulator.add(rows, np.ones((2, 1)))
    assert accumulator.metrics()["mae"][0] == pytest.approx((1 + 0 + 2) / 3)


def test_weights_are_drawn_from_poisson() -> None:
    weights = poisson_weights(np.arange(20_000), range(1, 41))
    shares = np.bincount(weights.ravel(), minlength=5)[:5] / weights.size
    assert shares == pytest.approx(stats.poisson.pmf(range(5), 1), abs=0.002)
    assert (POISSON.mean(), POISSON.var()) == pytest.approx((1, 1), abs=1e-4)
    # No two replicates, and no two rows, share their draws.
    assert np.abs(np.corrcoef(weights.T) - np.eye(40)).max() < 0.04
    assert np.abs(np.corrcoef(weights[:300].astype(float)) - np.eye(300)).max() < 0.85


def test_a_weight_depends_on_its_row_and_replicate_alone() -> None:
    ids = np.array([5, -7, 2**63 - 1, 0])
    whole = poisson_weights(ids, range(21))
    assert (whole[:, 0] == 1).all()
    assert (poisson_weights(ids[2:], range(6, 15)) == whole[2:, 6:15]).all()


def test_interval_widths_are_scipys() -> None:
    random = np.random.default_rng(3)
    true = random.normal(size=400)
    champion, challenger = true + random.normal(0, 1.0, 400), true + random.normal(0, 0.9, 400)
    weights = poisson_weights(np.arange(400), range(2001)).astype(float)
    mae = [np.abs(predicted - true) @ weights / weights.sum(axis=0) for predicted in (champion, challenger)]
    first, second = (Replicates({"mae": values}, 400, 7) for values in mae)
    ours = paired_difference(first, second, "mae")

    def difference(first: Any, second: Any, axis: int = -1) -> Any:
        return second.mean(axis=axis) - first.mean(axis=axis)

    errors = (np.abs(champion - true), np.abs(challenger - true))
    theirs = stats.bootstrap(errors, difference, paired=True, n_resamples=2000, method="percentile", rng=random)
    low, high = theirs.confidence_interval
    assert ours.estimate == pytest.approx(difference(*errors))
    assert ours.high - ours.low == pytest.approx(high - low, rel=0.1)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_other_rows_cannot_be_compared() -> None:
    values = {"mae": np.zeros(3)}
    with pytest.raises(DataError, match="the champion predicted 400 rows and the challenger 399"):
        paired_difference(Replicates(values, 400, 7), Replicates(values, 399, 7), "mae")
    with pytest.raises(DataError, match="other row ids or labels"):
        paired_difference(Replicates(values, 400, 7), Replicates(values, 400, 8), "mae")


def test_replicates_without_a_value_are_left_out_of_the_interval() -> None:
    assert confidence_interval(np.array([0.5, np.nan, 0.4, 0.6]), confidence=1.0) == (0.5, 0.4, 0.6)
    alone = confidence_interval(np.array([0.5, np.nan]))
    assert alone.estimate == 0.5 and np.isnan([alone.low, alone.high]).all()
