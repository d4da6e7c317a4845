"""The proxy by which an address is reached, as the environment names it: http_proxy, https_proxy, all_proxy and no_proxy."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from pipelines.errors import ConfigError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy: its address, the environment variable that names it, and `user:password`, which no message shows."""

    url: str
    variable: str
    credentials: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy alone is sent."""
        if self.credentials is None:
            return {}
        return {"Proxy-Authorization": f"Basic {base64.b64encode(self.credentials.encode()).decode()}"}

    @property
    def secrets(self) -> list[str]:
        """Texts that no message may show."""
        password = (self.credentials or "").partition(":")[2]
        return [text for text in (password, *(header.removeprefix("Basic ") for header in self.headers.values())) if text]


def proxy_for(address: str) -> Proxy | None:
    """The proxy for an address; None where the environment names none, or `no_proxy` names the address's host.

    Of one variable's two spellings the lower-case one counts. Raises ConfigError when a variable holds no address of a proxy
    that speaks HTTP.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if any(_covers(entry, host, port) for entry in re.split(r"[\s,]+", _variable("no_proxy")[1]) if entry):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        variable, value = _variable(name)
        if value:
            return _parsed(variable, value)
    return None


def _variable(name: str) -> tuple[str, str]:
    """The spelling of a variable that is set, and its value; empty when neither is."""
    spelling = next((spelling for spelling in (name, name.upper()) if spelling in os.environ), name)
    return spelling, os.environ.get(spelling, "").strip()


def _parsed(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in PORTS:
        raise ConfigError(
            f"the environment variable {variable}: expected the address of a proxy that speaks HTTP, such as http://host:3128, "
            f"received another text. Set it so, leave it out, or name the source's host in no_proxy."
        )
    shown = f"[{host}]" if ":" in host else host
    user = None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(f"{parts.scheme}://{shown}:{port or PORTS[parts.scheme]}", variable, user)


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of no_proxy names a host: `*`, an address or network, or a domain, which stands for those below it."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # the host, the entry or both are names, or the entry has a port
        pass
    name, _, only = entry.rpartition(":") if re.search(r":\d+$", entry) else (entry, "", str(port))
    domain = name.strip("[]").lstrip("*").lstrip(".").lower()
    return int(only) == port and (host == domain or host.endswith(f".{domain}"))
