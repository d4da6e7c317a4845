"""docs/serving.md, done as it says: each block loads a model and scores its example in five lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.bundles.manifest import write_manifest
from pipelines.serving.bundle import Bundle
from pipelines.serving.settings import Limits, Settings
from tests.pipelines.serving.tiny import FLIGHT, HASHED, arrays, export_tiny
from tests.root import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published model."""
    return export_tiny(tmp_path_factory.mktemp("models") / "m")


def test_the_page_scores_a_row_in_five_lines_of_each_library(folder: Path) -> None:
    expected = Bundle.open(str(folder)).score(arrays(FLIGHT))
    assert [len(list(filter(None, block.splitlines()))) for block in BLOCKS] == [5, 5, 5]
    for block, library in zip(BLOCKS[:2], ("onnxruntime", "tensorflow"), strict=True):
        assert library in block
        names: dict[str, Any] = {"folder": str(folder)}
        exec(compile(block, "docs/serving.md", "exec"), names)
        np.testing.assert_allclose(np.asarray(names["score"]), expected, rtol=0, atol=1e-6)


def test_the_page_prepares_and_scores_a_row_in_five_lines(tmp_path: Path) -> None:
    # A word of a set without end, whose example is none of the training data's.
    hashed = export_tiny(tmp_path / "m", HASHED)
    fields = json.loads((hashed / "input_schema.json").read_text())
    example = {**FLIGHT, "tailnum": "N123AA"}
    (hashed / "input_schema.json").write_text(json.dumps([{**field, "example": example[field["name"]]} for field in fields]))
    manifest = json.loads((hashed / "manifest.json").read_text())
    (hashed / "manifest.json").unlink()
    write_manifest(hashed, {name: value for name, value in manifest.items() if name not in ("format", "files")})
    names: dict[str, Any] = {"folder": str(hashed)}
    exec(compile(BLOCKS[2], "docs/serving.md", "exec"), names)
    expected = Bundle.open(str(hashed)).score({**arrays(FLIGHT), "tailnum": np.array(["N123AA"], object)})
    np.testing.assert_allclose(np.asarray(names["score"]), expected, rtol=0, atol=1e-6)


def test_every_option_that_the_page_names_exists() -> None:
    known = {name.replace("_", "-") for name in (*Settings.model_fields, *Limits.model_fields)}
    more = {"model", "config", "help", "key-variable", "no-access-log"}
    named = set(re.findall(r"--([a-z][a-z-]+)", PAGE))
    assert named <= known | more
