"""Proxies from the environment: where requests go, what stays secret, and what fails."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.config import Interval, SourceSection
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.sources.http_client import Access, Client
from pipelines.io.sources.http_proxy import proxy_for
from pipelines.io.sources.kinds import make_source
from schemas.contract import Column, Table
from tests.faulty_server import serving

DAY = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 1, 2, tzinfo=UTC))
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Proxy(http.server.ThreadingHTTPServer):
    """Answers every request itself, and records its target and headers."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.body = json.dumps(body).encode()
        self.requested: list[tuple[str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.requested.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def proxy(status: int = 200, body: object = None) -> Iterator[Proxy]:
    """A proxy on a free port, stopped at the end."""
    with Proxy(status, body) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client(address: str) -> Client:
    """A client of an address as the environment has it."""
    return Client(Access("things", "t0ken", 0, 2, proxy=proxy_for(address)))


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_request_goes_to_the_proxy_and_not_past_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving([{"id": 1}]) as api, proxy(body={"by": "proxy"}) as other:
        monkeypatch.setenv(name, f"http://me:p%40ss@{other.address}")
        address = "http://things.invalid:8080/v1?page=1"
        assert client(address).get(address).content == {"by": "proxy"}
        [(requested, headers)] = other.requested
        assert (requested, headers["host"]) == (address, "things.invalid:8080")
        assert headers["proxy-authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
        assert headers["authorization"] == "Bearer t0ken"
        monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
        content = client(api.base).get(f"{api.base}/v1/things").content
        assert content["data"]["items"] == [{"id": 1}]
        assert "proxy-authorization" not in api.requests[0].headers
        assert len(other.requested) == 1


def test_a_proxy_that_refuses_is_named_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://things.invalid/v1"
    with proxy(407) as refusing:
        monkeypatch.setenv("HTTP_PROXY", f"me:verysecret@{refusing.address}")
        message = (
            rf"the proxy http://{refusing.address}, which HTTP_PROXY names, answered 407 .* environment variable HTTP_PROXY\."
        )
        with pytest.raises(ExternalError, match=message) as refused:
            client(address).get(address)
        monkeypatch.setenv("https_proxy", f"me:verysecret@{refusing.address}")
        with pytest.raises(ExternalError, match=rf"through the proxy http://{refusing.address}, .*407") as tunnel:
            client("https://things.invalid/v1").get("https://things.invalid/v1")
        assert refusing.requested[-1][0] == "things.invalid:443"
    monkeypatch.setenv("http_proxy", "http://me:verysecret@127.0.0.1:9")
    with pytest.raises(
        ExternalError, match=r"through the proxy http://127\.0\.0\.1:9, which http_proxy names, .*refused"
    ) as unreachable:
        client(address).get(address)
    for caught in (refused, tunnel, unreachable):
        assert "verysecret" not in f"{caught.value}"
    assert "verysecret" not in f"{proxy_for(address)}"


def test_executors_use_the_proxy_of_the_drivers_environment(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = SourceSection(kind="rest", url="http://things.invalid/v1", records="")
    source = make_source("things", section).keeping(str(tmp_path))
    contract = Table("things", (Column("by", "string"),))
    before = source.version(spark, contract, DAY)
    with proxy(body=[{"by": "proxy"}]) as other:
        monkeypatch.setenv("http_proxy", f"http://me:verysecret@{other.address}")
        rows = source.read(spark, contract, DAY)
        assert [row.by for row in rows.collect()] == ["proxy"]
        assert [requested for requested, _ in other.requested] == ["http://things.invalid/v1"]
    assert source.version(spark, contract, DAY) == before
    spool_bytes = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "verysecret" not in f"{spool_bytes.decode()} {source!r} {rows._jdf.toString()}"


@pytest.mark.parametrize(
    ("no_proxy", "address", "direct"),
    [
        ("*", "http://a.example.org", True),
        ("example.org", "http://a.example.org", True),
        (".example.org", "http://example.org", True),
        ("*.example.org", "https://A.Example.org", True),
        ("example.org", "http://notexample.org", False),
        ("example.org:8080", "http://example.org:8080", True),
        ("example.org:8080", "http://example.org", False),
        ("example.org:443", "https://example.org", True),
        ("localhost 127.0.0.0/8", "http://127.1.2.3:5", True),
        ("10.0.0.0/8", "http://11.0.0.1", False),
        ("::1", "http://[::1]:80", True),
        ("", "http://example.org", False),
    ],
)
def test_no_proxy_names_hosts_domains_ports_and_networks(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, address: str, direct: bool
) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128/")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (proxy_for(address) is None) == direct


def test_the_lower_case_name_counts_and_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://upper")
    monkeypatch.setenv("http_proxy", "http://lower:1")
    assert str(proxy_for("http://h")) == "Proxy(url='http://lower:1', variable='http_proxy')"
    monkeypatch.setenv("http_proxy", "")
    assert proxy_for("http://h") is None
    assert proxy_for("https://h") is None


@pytest.mark.parametrize("value", ["socks5://me:verysecret@h:1", "http://", "http://h:port", "http://[::1"])
def test_a_proxy_that_speaks_no_http_is_exit_2(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(ConfigError, match="the environment variable HTTP_PROXY: expected the address of a proxy") as caught:
        proxy_for("http://h")
    assert "verysecret" not in str(caught.value)
