"""What a test reads of the log."""

from __future__ import annotations

import logging

import pytest


def one_warning(caplog: pytest.LogCaptureFixture) -> str:
    """The only warning since this was called last."""
    [record] = [
        record for record in caplog.records if record.levelno == logging.WARNING and record.name.startswith("pipelines")
    ]
    caplog.clear()
    return record.getMessage()
