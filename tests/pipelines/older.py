"""Models' folders as versions before this one exported them."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.bundles.manifest import write_manifest


def drop_prepared_onnx(folder: Path) -> Path:
    """Make of a folder whose ONNX graph takes prepared inputs one without a graph, as it was exported before; return it."""
    (folder / "model.onnx").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    onnx = {"features": None, "scores": None, "missing": manifest["onnx"]["prepared"]}
    facts = {name: value for name, value in manifest.items() if name not in ("format", "files", "prepared_inputs")}
    write_manifest(folder, {**facts, "onnx": onnx})
    assert json.loads((folder / "manifest.json").read_text())["format"] == 1
    return folder
