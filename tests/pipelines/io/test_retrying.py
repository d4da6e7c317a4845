"""Work on the catalog is done again when another process was faster, and for no other reason."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from tenacity import wait_none

from pipelines.io.retrying import retrying


def failing(*errors: Exception) -> Callable[[], str]:
    """A function that raises these errors, one a call, and then returns."""
    waiting = list(errors)

    def work() -> str:
        if waiting:
            raise waiting.pop(0)
        return f"done, {len(errors)} times in vain"

    return work


def attempt(work: Callable[[], str]) -> str:
    """Do it, three times at most, and again after a TimeoutError alone."""
    return retrying("too late", when=lambda error: isinstance(error, TimeoutError), attempts=3, wait=wait_none())(work)


def test_it_is_done_again_until_it_succeeds_and_each_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pipelines.io.retrying")
    assert attempt(failing(TimeoutError(), TimeoutError())) == "done, 2 times in vain"
    assert caplog.messages == ["too late; attempt 2 of 3 in 0.0 s", "too late; attempt 3 of 3 in 0.0 s"]


def test_after_the_last_attempt_its_error_is_raised() -> None:
    with pytest.raises(TimeoutError, match="third"):
        attempt(failing(TimeoutError("first"), TimeoutError("second"), TimeoutError("third")))


def test_another_error_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError, match="other"):
        attempt(failing(ZeroDivisionError("other"), TimeoutError()))
