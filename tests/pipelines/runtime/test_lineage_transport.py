"""Lineage events reach a file or a server; what does not work is one warning, and wrong settings are refused by their key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config import LakeConfig, SourceSection, read_config
from pipelines.config.openlineage import OpenLineageConfig
from pipelines.errors import ConfigError
from pipelines.io.sources.kinds import make_source
from pipelines.runtime.lineage_datasets import catalog_namespace, dataset_name, source_dataset
from pipelines.runtime.lineage_transport import EventSender, check_transport
from tests.log import one_warning
from tests.root import ROOT
from tests.webhook import Webhook, listening

KEY = "RINGMILL_TEST_LINEAGE_KEY"


@pytest.fixture
def server() -> Iterator[Webhook]:
    """A server that keeps what is posted to it."""
    with listening() as webhook:
        yield webhook


def config(server: Webhook, **more: object) -> OpenLineageConfig:
    """A section whose events go to the server."""
    url, _, endpoint = server.url.rpartition("/")
    return OpenLineageConfig.model_validate({"transport": {"type": "http", "url": url, "endpoint": endpoint, **more}})


def test_events_are_posted_with_the_key_of_the_environment(server: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "t0ken")
    EventSender().send(config(server, api_key=KEY), {"eventType": "START"})
    EventSender().send(config(server), {"eventType": "COMPLETE"})
    assert server.bodies == [{"eventType": "START"}, {"eventType": "COMPLETE"}]
    assert server.keys == ["Bearer t0ken", None]


def test_a_server_that_fails_is_one_warning_and_is_left_alone_after_three(
    server: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    sender = EventSender()
    for server.status in (500, 302, 200, 404, 500, 503, 200):
        sender.send(config(server), {})
    warning = one_warning(caplog)
    assert warning.startswith(
        "openlineage.transport.url: an event was not sent (the server answered 500; expected 200 to 299)."
    )
    assert len(server.bodies) == 6  # the last three but one failed in a row
    server.status, server.seconds = 200, 0.4
    EventSender().send(config(server, timeout_seconds=0.1), {})
    assert "(ReadTimeoutError)" in one_warning(caplog)


def test_a_key_that_is_not_set_is_a_warning_as_the_job_starts_and_sends_nothing(
    server: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    section = config(server, api_key=KEY)
    check_transport(read_config(configured(tmp_path, section.model_dump(exclude_none=True))))
    EventSender().send(section, {})
    warning = one_warning(caplog)
    assert f"openlineage.transport.api_key: the environment variable {KEY} is not set" in warning
    assert server.bodies == []


def test_events_of_several_jobs_are_whole_lines_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    section = OpenLineageConfig.model_validate({"transport": {"type": "file", "path": str(path)}})
    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            pool.submit(EventSender().send, section, {"number": number, "text": "é" * 10_000})
    assert sorted(json.loads(line)["number"] for line in path.read_text(encoding="utf-8").splitlines()) == list(range(200))


def configured(folder: Path, section: dict[str, Any], name: str = "openlineage") -> Path:
    """The flights configuration with a section."""
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    (folder / "lineage.yaml").write_text(yaml.safe_dump({**content, name: section}))
    return folder / "lineage.yaml"


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ({"type": "http", "url": "ftp://h/s3cret"}, r"openlineage\.transport\.url: expected an address that begins with http"),
        ({"type": "http", "url": "http://me:s3cret@h"}, r"openlineage\.transport\.url: it holds a user, a password"),
        ({"type": "http", "url": "http://h?key=s3cret"}, r"openlineage\.transport\.url: it holds a user, a password"),
        ({"type": "http", "url": "http://h", "api_key": "s3cret-key"}, r"openlineage\.transport\.api_key: expected the name"),
        ({"type": "http", "url": "http://h", "timeout_seconds": 0}, r"timeout_seconds: expected a number greater than 0"),
        ({"type": "file", "path": "s3://bucket/events"}, r"openlineage\.transport.*path: expected a path on this machine"),
        ({"type": "kafka"}, r"openlineage\.transport"),
        ({"path": "events"}, r"openlineage\.transport"),
    ],
)
def test_a_wrong_transport_is_refused_by_its_key_and_no_secret_is_shown(
    tmp_path: Path, transport: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        read_config(configured(tmp_path, {"transport": transport}))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/lake/flights/raw_flights", ("file", "/lake/flights/raw_flights")),
        ("file:/lake/a b/t/", ("file", "/lake/a b/t")),
        ("file:///lake/t", ("file", "/lake/t")),
        ("s3a://bucket/tables/ns/t", ("s3://bucket", "tables/ns/t")),
        ("gs://bucket/t", ("gs://bucket", "t")),
        ("hdfs://namenode:8020/lake/t", ("hdfs://namenode:8020", "/lake/t")),
    ],
)
def test_a_dataset_is_named_by_the_naming_conventions(location: str, expected: tuple[str, str]) -> None:
    assert dataset_name(location) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "csv", "path": "/data/{from:%Y}/{from:%m}/x.csv", "every": "month"}, ("file", "/data")),
        ({"kind": "csv", "path": "s3a://b/day/*.csv"}, ("s3://b", "day")),
        ({"kind": "csv", "path": "/data/what?.csv"}, ("file", "/data")),
        ({"kind": "rest", "url": "https://api.example:8443/v1/trips"}, ("https://api.example:8443", "v1/trips")),
        ({"kind": "rest", "url": "${TRIPS}/v1/{from:%Y}/trips"}, ("https://api.example", "v1")),
        (
            {"kind": "jdbc", "url": "jdbc:postgresql://db/ops?ssl=true", "table": "trips"},
            ("postgres://db:5432", "ops.public.trips"),
        ),
        ({"kind": "jdbc", "url": "jdbc:mariadb://db:3307/ops", "table": "trips"}, ("mysql://db:3307", "ops.trips")),
        ({"kind": "jdbc", "url": "jdbc:sqlite:/data/ops.db", "table": "trips"}, ("sqlite:/data/ops.db", "trips")),
    ],
)
def test_a_source_is_a_dataset_of_its_store(
    settings: dict[str, Any], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPS", "https://api.example")
    dataset = source_dataset(make_source("trips", SourceSection.model_validate(settings)))
    assert (dataset.namespace, dataset.name) == expected


@pytest.mark.parametrize(
    ("lake", "expected"),
    [
        ({"warehouse": "/lake"}, "file:/lake"),
        ({"warehouse": "s3a://bucket/lake"}, "s3://bucket/lake"),
        # The next three are what OpenLineage's own tests of its Spark listener expect (IcebergHandlerTest).
        (
            {"warehouse": "s3a://warehouse-bucket/warehouse", "catalog": {"type": "rest", "uri": "http://rest:8080"}},
            "http://rest:8080",
        ),
        (
            {"warehouse": "/tmp/warehouse", "catalog": {"type": "hive", "uri": "thrift://metastore:10001"}},
            "hive://metastore:10001",
        ),
        (
            {"warehouse": "hdfs://namenode:8020/tmp/warehouse", "catalog": {"type": "hadoop"}},
            "hdfs://namenode:8020/tmp/warehouse",
        ),
        ({"warehouse": "s3://b/w", "catalog": {"uri": "jdbc:postgresql://h/c?password=s3cret"}}, "s3://b/w"),
        ({"warehouse": "s3://b/w", "catalog": {"uri": "${CATALOG}"}}, "s3://b/w"),
    ],
)
def test_a_catalogs_namespace_holds_no_secret(lake: dict[str, Any], expected: str) -> None:
    assert catalog_namespace(LakeConfig.model_validate(lake)) == expected
