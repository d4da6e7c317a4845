"""The section `openlineage`: where lineage events of runs go, in OpenLineage's format."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pipelines.errors import ConfigError
from pipelines.model import Model

URL = "openlineage.transport.url"
API_KEY = "openlineage.transport.api_key"
PATH = "openlineage.transport.path"


def _server_address(url: str) -> str:
    # The errors do not repeat what they received: it may be secret.
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{URL}: expected an address that begins with http:// or https://, such as https://marquez.example.")
    if "@" in parts.netloc or parts.query:
        raise ConfigError(
            f"{URL}: it holds a user, a password or parameters; expected the server's address alone. Give a key by the "
            f"environment variable that api_key names."
        )
    return url.rstrip("/")


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigError(
            f"{API_KEY}: expected the name of an environment variable, such as OPENLINEAGE_API_KEY; received another text, "
            f"which is not shown since it may be secret. Put the key in a variable and its name here."
        )
    return name


def _local_path(path: str) -> str:
    if urlsplit(path).scheme not in ("", "file"):
        raise ValueError("expected a path on this machine, since a line can't be appended to an object of a remote store")
    return path.removeprefix("file://").removeprefix("file:")


class FileTransport(Model):
    """Events are appended to a file of this machine, each as one line of JSON."""

    type: Literal["file"]
    """Names the transport."""
    path: Annotated[str, Field(min_length=1), AfterValidator(_local_path)]
    """File to which events are appended. It and its folder are created. A relative path counts from the folder in which a job
    is started. Several jobs may share it.
    """


class HttpTransport(Model):
    """Events are posted to a server of OpenLineage's API, such as Marquez."""

    type: Literal["http"]
    """Names the transport."""
    url: Annotated[str, AfterValidator(_server_address)]
    """Address of the server, without a user, a password or parameters."""
    endpoint: Annotated[str, Field(pattern=r"^[\w./-]+$")] = "api/v1/lineage"
    """Path of the API at that address."""
    api_key: Annotated[str, AfterValidator(_variable_name)] | None = None
    """Name of the environment variable with the key, which is sent as a bearer token. Without it none is sent."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    """Seconds to connect, and as many to answer."""


class OpenLineageConfig(Model):
    """Each run of a step sends lineage events: what it reads, what it writes, and how it ends. When one can't be sent, the job
    warns once and goes on.
    """

    transport: Annotated[FileTransport | HttpTransport, Field(discriminator="type")]
    """How events are sent."""
    namespace: Annotated[str, Field(min_length=1)] | None = None
    """Namespace of the jobs in events. Without it `pipeline`."""
