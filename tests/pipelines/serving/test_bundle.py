"""A folder that is not a model is a clear error (what a real one scores: tests/pipelines/training/test_networks.py)."""

from pathlib import Path

import pytest

from pipelines.errors import ExternalError
from pipelines.serving.bundle import Bundle

WHOLE = '{"features": [], "label": null, "task": {"kind": "binary"}}'


@pytest.mark.parametrize(
    ("manifest", "message"),
    [(None, "can't be loaded"), (WHOLE, "can't be loaded"), ('{"features": []}', "lacks label, task: another version")],
)
def test_what_is_no_model_is_exit_5(tmp_path: Path, manifest: str | None, message: str) -> None:
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(ExternalError, match=message) as caught:
        Bundle(str(tmp_path))
    assert caught.value.exit_code == 5
