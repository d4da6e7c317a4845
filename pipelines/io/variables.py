"""`${NAME}` in a configuration: values that come from the environment, such as secrets."""

from __future__ import annotations

import os
import re

from pipelines.errors import ConfigError


def expanded(text: str, reader: str) -> str:
    """Text with each `${NAME}` replaced by that environment variable; raises ConfigError, which names who reads it, when it is
    not set.
    """
    return re.sub(r"\$\{(\w+)\}", lambda match: variable(match[1], reader), text)


def variable(name: str, reader: str) -> str:
    """An environment variable; raises ConfigError, which names who reads it, when it is not set."""
    if name not in os.environ:
        raise ConfigError(f"the environment variable {name}, which {reader} names, is not set. Set it, or fix the name.")
    return os.environ[name]
