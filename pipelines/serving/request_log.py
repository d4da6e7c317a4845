"""Served requests as JSON lines, a sample of them, which an ingest source reads once their labels are known."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from pipelines.bundles.signature import InputField
from pipelines.errors import ConfigError, ExternalError
from pipelines.serving.rows import RequestRows
from pipelines.serving.scorers import Scores
from pipelines.serving.served import ServedModel

LOG = logging.getLogger(__name__)


class RequestLog:
    """Appends rows and their scores to a file a day and process in a folder, `share` of the requests.

    Which requests are kept follows from their ids. Personal inputs are written as HMAC-SHA256 under `key`. A disk that refuses
    costs a line of the service's log, no request. Raises ExternalError when the folder can't be made.
    """

    def __init__(self, folder: Path, share: float, key: str | None) -> None:
        self._folder, self._share, self._key = folder, share, key.encode() if key else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExternalError(f"--request-log {folder}: can't be written to ({error}). Give another folder.") from error

    def check(self, model: ServedModel) -> None:
        """Raise ConfigError when a model has personal inputs and there is no key to hash them with."""
        personal = [field.name for field in model.schema.fields.values() if field.personal]
        if personal and self._key is None:
            raise ConfigError(
                f"--request-log: {', '.join(personal)} of model {model.name} is personal, and no key to hash it is set. Set "
                f"the environment variable RINGMILL_REQUEST_LOG_KEY, or log no requests."
            )

    def write(self, request_id: str, model: ServedModel, rows: RequestRows, scores: Scores) -> None:
        """Append a request's rows, if it is one of the sample."""
        if zlib.crc32(request_id.encode()) >= self._share * 2**32:
            return
        now = datetime.now(UTC)
        common = {"served_request": request_id, "served_at": now.isoformat(), "served_model": model.name}
        calibrated = model.bundle.calibration.apply(scores).tolist() if model.bundle.calibration else [None] * len(scores)
        lines = [
            orjson.dumps(
                {
                    **common,
                    "served_version": model.version,
                    "served_row": at,
                    "served_score": score,
                    "served_calibrated_score": probability,
                    **self._values(model, rows, at),
                }
            )
            for at, (score, probability) in enumerate(zip(scores.tolist(), calibrated, strict=True))
        ]
        path = self._folder / f"requests-{now:%Y-%m-%d}-{os.getpid()}.jsonl"
        try:
            with path.open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
        except OSError as error:
            LOG.warning("--request-log: a request was not logged: %s", error)

    def _values(self, model: ServedModel, rows: RequestRows, at: int) -> dict[str, Any]:
        """One row's raw values by name, as `/predict` takes them."""
        numbers = {field.name: _number(field, float(rows.numbers[i, at])) for i, field in enumerate(model.schema.numbers)}
        words = {field.name: self._word(field, rows.words[field.name][at]) for field in model.schema.words}
        return {**numbers, **words, **{name: values[at].tolist() for name, values in rows.series.items()}}

    def _word(self, field: InputField, word: str) -> str | None:
        if not word or not field.personal or self._key is None:
            return word or None
        return hmac.new(self._key, word.encode(), hashlib.sha256).hexdigest()


def _number(field: InputField, value: float) -> object:
    if value != value:  # noqa: PLR0124 - NaN alone is unlike itself
        return None
    if field.type == "boolean":
        return bool(value)
    if field.type == "timestamp":
        return datetime.fromtimestamp(value, UTC).isoformat()
    return int(value) if field.type in ("int", "bigint") else value
