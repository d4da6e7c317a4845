"""setup/environments.py creates an environment once, anew for other pins, and reports a failure in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from setup.environments import EnvironmentFailedError, environment, run_in


def test_an_environment_is_created_once_and_anew_for_other_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    folder = environment("own", requirements, check="import json")
    assert folder == tmp_path / "ringmill" / "own"
    code = "import sys; print(sys.prefix, sys.argv[1] in sys.path)"
    assert run_in(folder, "-c", code, str(tmp_path)).split() == [str(folder), "False"]

    (folder / "mark").touch()
    assert environment("own", requirements, check="import json") == folder
    assert (folder / "mark").exists()
    requirements.write_text("# other pins\n")
    with pytest.raises(EnvironmentFailedError, match=r"ended with code 1: ModuleNotFoundError: No module named 'numpy'"):
        environment("own", requirements, check="import numpy")
    assert not (folder / ".ready").exists() and not (folder / "mark").exists()
