"""A folder that is not a model is a clear error (what a real one scores: tests/pipelines/training/test_models.py)."""

from pathlib import Path

import pytest

from pipelines.errors import ExternalError
from pipelines.serving.bundle import Bundle


@pytest.mark.parametrize("manifest", [None, '{"features": []}'])
def test_what_is_no_model_is_exit_5(tmp_path: Path, manifest: str | None) -> None:
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(ExternalError, match="can't be loaded") as caught:
        Bundle(str(tmp_path))
    assert caught.value.exit_code == 5
