"""The webhook of section `notify`: one POST when a run fails, features drift or tables are stale. It never ends a job."""

from __future__ import annotations

import json
import logging
import os
import re
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

from pipelines.config import NotifyConfig, Pipeline
from pipelines.config.notify import Event
from pipelines.errors import ConfigError, QualityError, RingmillError
from pipelines.interruption import PROCESS
from pipelines.runtime.log_context import LOG_CONTEXT
from pipelines.runtime.log_handler import TO_STDERR

LOG = logging.getLogger(__name__)

REFUSED = 300  # answers from here on did not take the event; redirects are not followed


def set_pipeline(config: Pipeline) -> None:
    """From now on events are of this pipeline; warn where its webhook's address is not set, while somebody looks.

    Raises ConfigError, which does not repeat it, for an address in the place of a variable's name.
    """
    if config.notify and not re.fullmatch(r"[A-Za-z_]\w*", config.notify.url):
        raise ConfigError(
            "notify.url: expected the name of an environment variable, such as RINGMILL_WEBHOOK; received another text, which "
            "is not shown since it may be secret. Put the address in a variable and its name here."
        )
    LOG_CONTEXT.pipeline, LOG_CONTEXT.webhook = config.pipeline, config.notify
    if config.notify and config.notify.url not in os.environ:
        LOG.warning(
            f"notify.url: the environment variable {config.notify.url} is not set, so nobody is notified. Set it to the "
            f"webhook's address, or fix the name.",
            extra=TO_STDERR,
        )


def notify_failure(error: BaseException) -> None:
    """Send that the job failed, or that features drifted beyond a bound that fails; nothing for an interruption."""
    if PROCESS.cause(error) is not None:
        return
    drifted = LOG_CONTEXT.step == "drift" and isinstance(error, QualityError)
    code = error.exit_code if isinstance(error, RingmillError) else 1
    notify("drift" if drifted else "failed", f"{type(error).__name__}: {error}" if code == 1 else str(error), exit_code=code)


def notify(event: Event, error: str, **more: Any) -> None:
    """Send an event where the configuration wants it, with the first line of what is wrong; warn when that fails."""
    webhook = LOG_CONTEXT.webhook
    if webhook is None or event not in webhook.events or webhook.url not in os.environ:
        return
    line = error.strip().partition("\n")[0]
    text = f"ringmill: {LOG_CONTEXT.pipeline}: {LOG_CONTEXT.step or LOG_CONTEXT.job}: {event}: {line}"
    try:
        status = _post(webhook, {"event": event, **LOG_CONTEXT.fields(), "error": line, **more, "text": text})
    except (HTTPError, ValueError, OSError) as problem:
        # Not the message of the problem: it may hold the address, which may be secret.
        LOG.warning(
            f"{_subject(webhook, event)}: {type(problem).__name__}. See that the address "
            f"begins with http:// or https:// and that its server is up.",
            extra=TO_STDERR,
        )
    else:
        if status >= REFUSED:
            text = f"{_subject(webhook, event)}: it answered {status}; expected 200 to 299. Fix the address."
            LOG.warning(text, extra=TO_STDERR)


def _subject(webhook: NotifyConfig, event: Event) -> str:
    return f"notify.url: the webhook in the environment variable {webhook.url} was not notified of '{event}'"


def _post(webhook: NotifyConfig, body: dict[str, Any]) -> int:
    address = os.environ[webhook.url]
    if not address.startswith(("http://", "https://")):
        raise LocationValueError
    timeout = urllib3.Timeout(connect=webhook.timeout_seconds, read=webhook.timeout_seconds)
    with urllib3.PoolManager(timeout=timeout) as pool:
        answer = pool.request(
            "POST",
            address,
            body=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            retries=False,
            redirect=False,
            preload_content=False,  # what else it answers is of no interest, however long it is
        )
        answer.close()
        return answer.status
