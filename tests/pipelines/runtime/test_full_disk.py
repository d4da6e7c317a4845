"""A full disk is named as one."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.config import LakeConfig
from pipelines.errors import DataError
from pipelines.runtime import application
from pipelines.runtime.command_line import parser
from pipelines.runtime.full_disk import full_disk
from pipelines.runtime.lineage_transport import ApplicationLineage
from tests.root import ROOT


def full() -> OSError:
    """What Linux says of a device that is always full."""
    try:
        Path("/dev/full").write_bytes(b"x")
    except OSError as error:
        return error
    raise AssertionError


def test_a_full_disk_behind_other_errors_is_named_with_what_is_free(tmp_path: Path) -> None:
    error = RuntimeError("the task failed")
    error.__cause__ = full()
    translated = full_disk(error, LakeConfig(warehouse=str(tmp_path)))
    assert translated is not None
    assert translated.exit_code == 5
    assert str(translated).startswith("a file could not be written: No space left on device.")
    assert f"MiB are free in {tmp_path} (warehouse)" in str(translated)


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded", "Read-only file system"])
def test_javas_words_are_understood(words: str) -> None:
    error = RuntimeError(f"An error occurred while calling o1.append.\nCaused by: java.io.IOException: {words}\n")
    translated = full_disk(error, LakeConfig(warehouse="s3a://lake/tables"))
    assert translated is not None
    assert words in str(translated)
    assert "s3a" not in str(translated)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), DataError("No space left on device, says a row"), OSError(2, "gone")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert full_disk(error, LakeConfig(warehouse="w")) is None


def test_a_job_that_is_no_step_ends_so_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def work(*_: object) -> None:
        raise full()

    monkeypatch.setattr(application, "spark_session", lambda *_: nullcontext())
    context = partial(SimpleNamespace, run_id="run1", lineage=ApplicationLineage())
    monkeypatch.setattr(application, "_context", lambda config, *_: context(config=config))
    monkeypatch.setattr(application, "plan_for", lambda *_: None)
    config = ROOT / "conf" / "flights.yaml"
    assert application.run_job("maintain", parser("maintain"), ["--config", str(config)], work) == 5
    errors = capsys.readouterr().err
    assert "ringmill: maintain failed: a file could not be written: No space left on device." in errors
    assert "Traceback" not in errors
