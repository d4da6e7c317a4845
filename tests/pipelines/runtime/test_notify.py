"""A webhook gets what failed, drifted or is stale; one that does not work is a warning, and changes nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config import Interval, NotifyConfig, read_config
from pipelines.errors import ConfigError, DataError, QualityError
from pipelines.interruption import Interrupted
from pipelines.runtime import application
from pipelines.runtime.log_context import LOG_CONTEXT, LogContext
from pipelines.runtime.notify import notify, notify_failure
from pipelines.steps.ingest import STEP as INGEST
from tests.root import ROOT
from tests.webhook import Webhook, listening

URL = "RINGMILL_TEST_WEBHOOK"
MAY = Interval(start=datetime(2013, 5, 1, tzinfo=UTC), end=datetime(2013, 5, 2, tzinfo=UTC))


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A webhook whose address is in the environment."""
    with listening() as server:
        monkeypatch.setenv(URL, server.url)
        yield server


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> LogContext:
    """A job clean of the pipeline toy that is at work on a day in May."""
    for name, value in {"pipeline": "toy", "job": "pipeline", "run_id": "r1", "step": "clean", "interval": MAY}.items():
        monkeypatch.setattr(LOG_CONTEXT, name, value)
    monkeypatch.setattr(LOG_CONTEXT, "webhook", NotifyConfig(url=URL, timeout_seconds=0.2))
    monkeypatch.setattr(LOG_CONTEXT, "json_lines", False)
    return LOG_CONTEXT


def test_a_failure_is_posted_with_its_run_interval_and_first_line(webhook: Webhook, capsys: pytest.CaptureFixture[str]) -> None:
    notify_failure(DataError("no rows.\nMore of it."))
    assert webhook.bodies == [
        {
            "event": "failed",
            "pipeline": "toy",
            "job": "pipeline",
            "step": "clean",
            "run_id": "r1",
            "interval_from": "2013-05-01T00:00:00+00:00",
            "interval_to": "2013-05-02T00:00:00+00:00",
            "error": "no rows.",
            "exit_code": 3,
            "text": "ringmill: toy: clean: failed: no rows.",
        }
    ]
    notify_failure(ZeroDivisionError("division"))
    assert (webhook.bodies[1]["error"], webhook.bodies[1]["exit_code"]) == ("ZeroDivisionError: division", 1)
    notify_failure(Interrupted())
    assert len(webhook.bodies) == 2 and capsys.readouterr().err == ""


def test_drift_is_an_event_of_its_own_and_only_declared_events_are_sent(webhook: Webhook, log: LogContext) -> None:
    log.step = "drift"
    notify_failure(QualityError("features have moved"))
    notify_failure(DataError("no stats"))
    log.step = "evaluate"
    notify_failure(QualityError("auc 0.5"))
    assert [(body["event"], body["exit_code"]) for body in webhook.bodies] == [("drift", 4), ("failed", 3), ("failed", 4)]
    log.webhook = NotifyConfig(url=URL, events=("stale",))
    notify_failure(QualityError("auc 0.5"))
    notify("stale", "clean_flights: it was written 2 d ago")
    assert [body["event"] for body in webhook.bodies[3:]] == ["stale"]
    log.webhook = None
    notify("stale", "again")
    assert len(webhook.bodies) == 4


def test_a_webhook_that_fails_is_a_warning_without_its_address(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lead = f"ringmill: warning: notify.url: the webhook in the environment variable {URL} was not notified of 'failed'"

    def warning_of_a_failure() -> str:
        notify_failure(DataError("no rows"))
        text = capsys.readouterr().err
        assert text.startswith(f"{lead}: ") and "s3cret" not in text and text.count("\n") == 1
        return text[len(lead) + 2 :]

    for webhook.status in (302, 404, 500):
        assert warning_of_a_failure().startswith(f"it answered {webhook.status}; expected 200 to 299")
    webhook.status, webhook.seconds = 200, 0.6
    began = time.monotonic()
    assert warning_of_a_failure().startswith("ReadTimeoutError")
    assert time.monotonic() - began < 0.5
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv(URL, f"http://127.0.0.1:{closed.getsockname()[1]}/s3cret")
        assert warning_of_a_failure().startswith("NewConnectionError")
    for wrong in ("s3cret", "ftp://h/s3cret", "http://[s3cret"):
        monkeypatch.setenv(URL, wrong)
        assert warning_of_a_failure()


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs ingest with a section `notify`, until Spark would start, which fails."""

    def _start(*_: object) -> None:
        raise DataError("no Spark here")

    def _job(**section: object) -> int:
        content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump({**content, "notify": section}))
        return application.run_application("ingest", [INGEST], ["--config", str(path)])

    monkeypatch.setattr(application, "spark_session", _start)
    return _job


def test_a_job_that_fails_notifies_and_keeps_its_exit_code(
    webhook: Webhook, job: Callable[..., int], log: LogContext, capsys: pytest.CaptureFixture[str]
) -> None:
    log.begin("ingest", json_lines=False)
    assert job(url=URL) == 3
    [body] = webhook.bodies
    assert (body["pipeline"], body["job"], body["error"]) == ("flights", "ingest", "no Spark here")
    assert capsys.readouterr().err == "ringmill: ingest failed: no Spark here\n"
    webhook.status = 500
    assert job(url=URL) == 3
    assert "was not notified of 'failed': it answered 500" in capsys.readouterr().err


def test_a_webhook_whose_address_is_not_set_is_a_warning_as_the_job_starts(
    job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(url="NO_SUCH_WEBHOOK") == 3
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("ringmill: warning: notify.url: the environment variable NO_SUCH_WEBHOOK is not set, so nobody")
    assert error == "ringmill: ingest failed: no Spark here"


def test_an_address_in_the_configuration_is_refused_and_not_repeated(
    job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(url="https://hooks.example/s3cret") == 2
    error = capsys.readouterr().err
    assert "notify.url: expected the name of an environment variable" in error and "s3cret" not in error


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"events": ["failed"]}, r"notify\.url: "),
        ({"url": URL, "events": ["late"]}, r"notify\.events\.0: expected 'failed', 'drift' or 'stale'; received 'late'"),
        ({"url": URL, "timeout_seconds": 0}, r"notify\.timeout_seconds: expected a number greater than 0"),
    ],
)
def test_a_wrong_section_is_refused_by_its_key(tmp_path: Path, section: dict[str, Any], expected: str) -> None:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({**content, "notify": section}))
    with pytest.raises(ConfigError, match=expected):
        read_config(tmp_path / "wrong.yaml")
