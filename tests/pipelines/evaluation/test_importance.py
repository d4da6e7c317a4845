"""Permutation importance: a feature that the model does not use is worth nothing, and others what scikit-learn says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from pipelines.config import Binary, Multiclass, Regression, Task
from pipelines.evaluation.importance import importance_of, primary_metric
from pipelines.features.fitted import FittedCategorical, FittedCyclic, FittedNumeric

NUMBER = FittedNumeric(name="x", fill=0, clip=None, log1p=False, offset=0, scale=1)
ANGLE = FittedCyclic(name="angle", fill=0, period=360)
UNUSED = FittedCategorical(name="word", vocabulary=("a",))
BINARY = Binary()


def sample() -> pa.RecordBatch:
    random = np.random.default_rng(0)
    x, angle = random.normal(size=2000), random.uniform(0, 2 * np.pi, 2000)
    label = (x + np.sin(angle) + random.normal(0, 0.3, 2000) > 0) + 0.0
    columns = {"x": x, "angle_sin": np.sin(angle), "angle_cos": np.cos(angle), "word": random.integers(0, 2, 2000)}
    return pa.RecordBatch.from_pydict({"label": label, **columns})


def score(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.append_column("score", pa.array(rows.column("x").to_numpy() + rows.column("angle_sin").to_numpy()))


def _auc(model: Any, values: Any, labels: Any) -> float:
    return float(roc_auc_score(labels, model.predict(values)))


def test_importance_is_about_scikit_learns() -> None:
    rows = sample()
    whole = primary_metric(score(rows), BINARY)
    assert whole == pytest.approx(roc_auc_score(rows.column("label").to_numpy(), score(rows).column("score").to_numpy()))
    importances = {f.name: importance_of(f, rows, whole, BINARY, score, seed=3) for f in (NUMBER, ANGLE, UNUSED)}

    values = np.column_stack([rows.column(name).to_numpy() for name in ("x", "angle_sin")])
    labels = rows.column("label").to_numpy()
    model = LinearRegression().fit(values, values.sum(axis=1))
    peer = permutation_importance(model, values, labels, scoring=_auc, random_state=0)
    assert [importances["x"].loss, importances["angle"].loss] == pytest.approx(peer.importances_mean, abs=0.02)
    assert (importances["word"].loss, importances["word"].deviation) == (0, 0)
    assert importances["x"].deviation < 0.02
    assert importance_of(NUMBER, rows, whole, BINARY, score, seed=3) == importances["x"]


@pytest.mark.parametrize(
    ("task", "columns", "expected"),
    [
        (Multiclass(kind="multiclass", classes=("a", "b")), {"label": [0.0, 1.0, 1.0], "predicted": [0.0, 1.0, 0.0]}, 2 / 3),
        (Regression(kind="regression"), {"label": [0.0, 1.0, 1.0], "predicted": [0.0, 1.0, 0.5]}, 0.5 / 3),
        (Regression(kind="regression"), {"label": [[0.0, 1.0], [1.0, 3.0]], "predictions": [[0.0, 1.0], [0.0, 0.0]]}, 1.0),
    ],
)
def test_the_primary_metric_by_hand(task: Task, columns: dict[str, Any], expected: float) -> None:
    assert primary_metric(pa.RecordBatch.from_pydict(columns), task) == pytest.approx(expected)
