"""Work on the catalog that is done again when another process was faster: how often, after which pause, and what is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import WaitBaseT

LOG = logging.getLogger(__name__)


def retrying(why: str, *, when: Callable[[BaseException], bool], attempts: int, wait: WaitBaseT) -> Retrying:
    """Tenacity's loop over attempts: calls a function again after each error of `when`, and raises the last one.

    `wait` gives the seconds between attempts. Each retry is logged at debug level, with `why`.
    """

    def log(state: RetryCallState) -> None:
        LOG.debug("%s; attempt %d of %d in %.1f s", why, state.attempt_number + 1, attempts, state.upcoming_sleep)

    return Retrying(
        retry=retry_if_exception(when), stop=stop_after_attempt(attempts), wait=wait, before_sleep=log, reraise=True
    )
