"""docs/models.md, done as it says, in a process of its own: each format loads, and gives what arithmetic by hand gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.config import Binary, Network
from pipelines.features.fitted import FittedCategorical, FittedNumeric, FittedSpec, FittedTime
from pipelines.training.export import export
from pipelines.training.networks import build_network
from pipelines.training.tasks import head_of
from tests.root import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDER = re.compile(r'^folder = ".*"$', re.MULTILINE)
PRINTED = "print(json.dumps([scores.tolist() for scores in (saved_model_scores, keras_scores, onnx_scores)]))"
SPEC = FittedSpec(
    features=(
        FittedNumeric(name="distance", fill=1000.0, clip=None, log1p=False, offset=900.0, scale=500.0),
        FittedTime(name="departure", parts=("hour",), zone="UTC", encode="cyclic"),
        FittedCategorical(name="carrier", vocabulary=("UA", "DL")),
    )
)


def exported(folder: Path) -> tuple[str, int]:
    """A model's folder, and how many values an id becomes; its weights are 0.1, but each value of an id is the id itself."""
    network = build_network(Network(hidden=(2,), activation="relu"), SPEC)
    width = 0
    for weights in network.weights:
        weights.assign(np.full(weights.shape, 0.1))
        if "embedding" in weights.path:
            width = weights.shape[1]
            weights.assign(np.tile(np.arange(weights.shape[0])[:, None], width))
    export(network, SPEC, head_of(Binary(), SPEC, None), {"task": {"kind": "binary"}}, str(folder / "model"))
    return str(folder / "model"), width


def expected(width: int) -> list[float]:
    """The scores of 1,400 miles at six by UA, the first word, and of a row without any value. A hidden unit is 0.1 of all its
    inputs and 0.1: the scaled number, sine (1) and cosine (0) of a quarter of a day, the id's values; there are two.
    """
    given = (1400 - 900) / 500 + 1 + 0 + width * 1
    missing = (1000 - 900) / 500 + 0 + 0 + width * 0
    return [1 / (1 + np.exp(-(2 * 0.1 * (0.1 * inputs + 0.1) + 0.1))) for inputs in (given, missing)]


def run_page(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python of the page in a process that has imported nothing of ringmill's."""
    return subprocess.run([sys.executable, "-c", script], cwd=folder, text=True, capture_output=True, check=False)


@pytest.mark.slow
def test_the_pages_blocks_load_every_format_and_their_scores_are_right(tmp_path: Path) -> None:
    model, width = exported(tmp_path)
    blocks = BLOCK.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    assert len(blocks) == 5
    completed = run_page(FOLDER.sub(f"folder = {model!r}", "\n".join([*blocks, PRINTED])), tmp_path)
    assert completed.returncode == 0, completed.stderr
    lines = completed.stdout.splitlines()
    assert lines[:2] == ["{'distance': 'numeric', 'departure': 'time', 'carrier': 'categorical'}", "binary"]
    for scores in json.loads(lines[-1]):
        assert scores == pytest.approx(expected(width), abs=1e-6)
    # Without the imports of the page, Keras names the class that it lacks.
    plain = run_page(f"import keras\nkeras.saving.load_model({model!r} + '/model.keras')", tmp_path)
    assert "ringmill>LocalTime" in plain.stderr
