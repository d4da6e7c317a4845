"""N ranks at batch B train the weights that one rank trains at batch N * B on the same rows: over several uneven steps."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.processes import environment
from tests.root import ROOT

ROWS, BATCH, EPOCHS = 45, 4, 2
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"name": "SGD", "learning_rate": 0.1},
    "momentum": {"name": "SGD", "learning_rate": 0.05, "options": {"momentum": 0.9, "nesterov": True}},
    "Adam": {"name": "Adam", "learning_rate": 0.02, "options": {"global_clipnorm": 1.0}},
}
MOMENTUM = OPTIMIZERS["momentum"]
VARIANTS: dict[str, dict[str, Any]] = {
    "batch norm": {"network": {"hidden": [4], "batch_norm": True}, "class_weights": {"0": 0.25, "1": 2}},
    "parts": {"accumulation": 2},
    "fp16": {"compression": "fp16"},
}
"""What else a run may have, beside the optimizer with momentum."""
Weights = list[npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weights]:
    """The last weights of every run, by name; all run in one application with four slots, on fewer
    cores. The one that is run again has ranks of its own.
    """
    folder = tmp_path_factory.mktemp("equivalence")
    generator = np.random.default_rng(3)
    x, w = generator.normal(size=ROWS).astype(np.float32), generator.integers(0, 3, ROWS).astype(np.int32)
    table = pa.table({"row_id": np.arange(ROWS), "label": (x + w > 1).astype(np.float32), "x": x, "w": w})
    pq.write_table(table, folder / "shared.parquet", row_group_size=20)
    runs: list[dict[str, Any]] = []
    for ranks in (2, 3, 4):
        alone = folder / f"alone-{ranks}.parquet"
        pq.write_table(table.take(step_by_step(ranks)), alone, row_group_size=7)
        for name, optimizer in OPTIMIZERS.items():
            together = {"ranks": ranks, "batch": BATCH, "path": str(folder / "shared.parquet"), "optimizer": optimizer}
            runs.append({"name": f"{name}-{ranks}", **together})
            runs.append({"name": f"{name}-alone-{ranks}", **together, "ranks": 1, "batch": ranks * BATCH, "path": str(alone)})
    runs.append({**runs[4], "name": "again", "launch": "another"})
    runs += variants(runs)
    (folder / "runs.json").write_text(json.dumps(runs))
    command = [sys.executable, "-m", "tests.pipelines.launch.many_runs", str(folder)]
    completed = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-3000:]
    weights = {}
    for run in runs:
        with np.load(folder / f"{run['name']}.npz") as archive:
            weights[run["name"]] = [archive[name] for name in archive.files]
    return weights


def variants(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs with momentum once more, on two and three ranks, with something else; those with batch norm on one rank, too."""
    plain = {run["name"]: run for run in runs}
    names = [(ranks, "batch norm", alone) for ranks in (2, 3) for alone in ("", "alone-")]
    names += [(2, "parts", ""), (3, "parts", ""), (2, "fp16", "")]
    return [
        {**plain[f"momentum-{alone}{ranks}"], "name": f"{name}-{alone}{ranks}", "train": VARIANTS[name]}
        for ranks, name, alone in names
    ]


def step_by_step(ranks: int) -> list[int]:
    """The rows in the order in which one rank has to read them, so that each of its steps has those of all ranks' steps."""
    bounds = [ROWS * rank // ranks for rank in range(ranks + 1)]
    ranges = [list(range(first, last)) for first, last in itertools.pairwise(bounds)]
    steps = -(-max(map(len, ranges)) // BATCH)
    return [row for step in range(steps) for own in ranges for row in own[step * BATCH : (step + 1) * BATCH]]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_train_what_one_trains(trained: dict[str, Weights], optimizer: str, ranks: int) -> None:
    together, alone = trained[f"{optimizer}-{ranks}"], trained[f"{optimizer}-alone-{ranks}"]
    assert len(together) == len(alone) == 5  # an embedding, two layers with biases
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)
    others = trained[f"{optimizer}-{2 if ranks > 2 else 4}"]
    assert max(np.abs(a - b).max() for a, b in zip(together, others, strict=True)) > 1e-3  # other steps, other weights


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_batch_norm_is_over_all_ranks(trained: dict[str, Weights], ranks: int) -> None:
    together, alone = trained[f"batch norm-{ranks}"], trained[f"batch norm-alone-{ranks}"]
    assert len(together) == len(alone) == 8  # an embedding, a layer, its gamma, beta, mean and variance, a layer with its bias
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_batch_in_parts_trains_what_a_whole_one_does(trained: dict[str, Weights], ranks: int) -> None:
    for first, second in zip(trained[f"parts-{ranks}"], trained[f"momentum-alone-{ranks}"], strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_gradients_in_float16_train_nearly_the_same(trained: dict[str, Weights]) -> None:
    differences = [np.abs(a - b).max() for a, b in zip(trained["fp16-2"], trained["momentum-2"], strict=True)]
    assert 0 < max(differences) < 1e-3


@pytest.mark.slow
def test_the_same_run_again_trains_the_same_bits(trained: dict[str, Weights]) -> None:
    for first, second in zip(trained["Adam-2"], trained["again"], strict=True):
        np.testing.assert_array_equal(first, second)
