"""`python -m pipelines.serving --model PATH`: serve a model over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Container
from pathlib import Path

import orjson
from pydantic import ValidationError

from pipelines.errors import ConfigError, RingmillError
from pipelines.serving.server import serve
from pipelines.serving.service import Service
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.sources import model_source

KEY_VARIABLE = "RINGMILL_SERVING_KEY"
LOG_KEY_VARIABLE = "RINGMILL_REQUEST_LOG_KEY"
LEAST_KEY = 16


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line; the access log's are JSON already."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name.endswith(".access"):
            return record.getMessage()
        line = {"time": record.created, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it; the exit code."""
    given = _parser().parse_args(arguments)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        service = Service(model_source(given.model, given.config), _settings(given))
        serve(service)
    except RingmillError as error:
        print(f"ringmill: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.serving", description="Serve a model over HTTP.")
    add = parser.add_argument
    add("--model", required=True, help="path or URI of a model's folder; with --config an alias such as champion")
    add("--config", type=Path, help="the pipeline whose registry knows the alias")
    for name, field in {**Settings.model_fields, **Limits.model_fields}.items():
        if name in ("limits", "key", "insecure", "access_log", "request_log_key"):
            continue
        add(f"--{name.replace('_', '-')}", default=None, help=f"default: {field.default}")
    add("--key-variable", default=KEY_VARIABLE, help=f"environment variable with the callers' key (default: {KEY_VARIABLE})")
    add("--insecure", action="store_true", help="let other machines call the service without a key")
    add("--no-access-log", action="store_true", help="write no line for each request")
    return parser


def _settings(given: argparse.Namespace) -> Settings:
    """The settings of the arguments and the environment; raises ConfigError, which names each wrong argument."""

    def chosen(names: Container[str]) -> dict[str, object]:
        return {name: value for name, value in vars(given).items() if name in names and value is not None}

    own = chosen(set(Settings.model_fields) - {"insecure"})
    try:
        limits = Limits.model_validate(chosen(set(Limits.model_fields)))
        key = _key(given.key_variable)
        return Settings.model_validate(
            {
                **own,
                "limits": limits,
                "key": key,
                "insecure": given.insecure,
                "access_log": not given.no_access_log,
                "request_log_key": os.environ.get(LOG_KEY_VARIABLE),
            }
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "-".join(str(part) for part in wrong["loc"]).replace("_", "-")
        raise ConfigError(f"--{name} {wrong['input']}: {wrong['msg']}.") from error


def _key(variable: str) -> str | None:
    key = os.environ.get(variable)
    if key is not None and len(key) < LEAST_KEY:
        raise ConfigError(f"{variable}: the key has {len(key)} characters; expected at least {LEAST_KEY}, or no such variable.")
    return key


if __name__ == "__main__":
    sys.exit(main())
