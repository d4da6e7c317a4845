"""Archives on Python's path are not read again before every task, and their modules are still imported."""

import importlib
import sys
import zipfile
from pathlib import Path
from zipimport import zipimporter

import pytest

from pipelines.workers import forget_archives


def test_a_forgotten_archive_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("packed_one.py", "VALUE = 1")
        content.writestr("packed_two.py", "VALUE = 2")
    monkeypatch.syspath_prepend(str(archive))
    assert importlib.import_module("packed_one").VALUE == 1
    assert any(isinstance(finder, zipimporter) for finder in sys.path_importer_cache.values())
    forget_archives()
    assert not any(isinstance(finder, zipimporter) for finder in sys.path_importer_cache.values())
    assert importlib.import_module("packed_two").VALUE == 2
