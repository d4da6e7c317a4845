"""The fitted baseline learns from the model's own features, on a bounded sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from pipelines.config import Binary, GradientBoosting, Multiclass, Regression, Task
from pipelines.evaluation.boosting import boosted_predictions, fit_boosting
from pipelines.features.fitted import FittedCategorical, FittedImage, FittedNumeric, FittedSpec

SPEC = FittedSpec(
    features=(
        FittedNumeric(name="x", fill=0, clip=None, log1p=False, offset=0, scale=1),
        FittedCategorical(name="word", vocabulary=("a", "b", "c")),
        FittedImage(name="image", height=1, width=2, channels=1, divide_by=1),
    )
)
SETTINGS = GradientBoosting(rows=600, iterations=20)


def write(path: Path, rows: int, seed: int, classes: int = 2) -> str:
    """Rows whose label depends on the number, the word and the image."""
    random = np.random.default_rng(seed)
    number, word, pixels = random.normal(size=rows), random.integers(0, 4, rows), random.random((rows, 2))
    label = ((number + (word == 2) + pixels[:, 1] + random.normal(0, 0.3, rows)) > 0.7) + 0.0
    if classes > 2:
        label += word == 3
    columns = {"x": number.astype(np.float32), "word": word.astype(np.int32), "label": label.astype(np.float32)}
    image = pa.array(pixels.astype(np.float32).tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"row_id": np.arange(rows) * 1000 + seed, **columns, "image": image}), path, row_group_size=250)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("boosting")
    rows = {"train": 900, "more": 300, "validation": 200, "test": 400}
    return {name: write(folder / f"{name}.parquet", count, seed) for seed, (name, count) in enumerate(rows.items())}


def test_predictions_are_scikit_learns_on_the_sample(files: dict[str, str]) -> None:
    boosted = fit_boosting(SETTINGS, Binary(), SPEC, [files["train"], files["more"]])
    predictions = boosted_predictions(boosted, Binary(), SPEC, {"validation": [files["validation"]], "test": [files["test"]]})
    # Half of each file: 450 and 150 rows.
    parts = [pq.read_table(files[name]).slice(0, rows) for name, rows in (("train", 450), ("more", 150))]
    assert boosted.rows == 600 and boosted.seconds > 0

    def matrix(table: pa.Table) -> Any:
        pixels = np.array(table["image"].to_pylist(), np.float32)
        return np.column_stack([table["x"].to_numpy(), table["word"].to_numpy(), pixels])

    train = pa.concat_tables(parts)
    peer = HistGradientBoostingClassifier(max_iter=20, early_stopping=False, categorical_features=[1], random_state=0)
    peer.fit(matrix(train), train["label"].to_numpy())
    test = pq.read_table(files["test"])
    ours = predictions.filter(pa.compute.equal(predictions["split"], "test"))
    assert ours["row_id"].to_pylist() == test["row_id"].to_pylist()
    np.testing.assert_allclose(ours["score"].to_numpy(), peer.predict_proba(matrix(test))[:, 1], atol=1e-6)
    assert predictions.num_rows == 600


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        (Multiclass(kind="multiclass", classes=("a", "b", "c", "d")), {"predicted", "predictions"}),
        (Regression(kind="regression"), {"predicted"}),
    ],
)
def test_classes_and_numbers_are_predicted_too(tmp_path: Path, task: Task, columns: set[str]) -> None:
    path = write(tmp_path / "rows.parquet", 500, 1, classes=3)
    boosted = fit_boosting(SETTINGS, task, SPEC, [path])
    predictions = boosted_predictions(boosted, task, SPEC, {"test": [path]})
    assert set(predictions.column_names) == {"row_id", "label", "split", *columns}
    error = np.abs(predictions["predicted"].to_numpy() - predictions["label"].to_numpy())
    assert error.mean() < 0.3
    if "predictions" in columns:
        shares = np.array(predictions["predictions"].to_pylist())
        assert shares.shape == (500, 4)
        assert shares.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (shares[:, 3] == 0).all()  # the sample has no row of this class
