"""The mirror of versions and aliases, against a real MLflow server in an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as MirroredVersion

from pipelines.config import Pipeline
from pipelines.registry.mlflow import MlflowError, mirror
from pipelines.registry.versions import ModelVersion, current, with_alias
from setup.environments import environment, python, variables
from setup.postgres import free_port
from tests.pipelines.registry.versions import change, history, version
from tests.root import ROOT
from tests.sample import pipeline

pytestmark = pytest.mark.slow
PATIENCE = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server over an empty SQLite file."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    own = environment("mlflow", ROOT / "tests" / "mlflow-requirements.txt", check="import mlflow.server")
    store = ["--backend-store-uri", f"sqlite:///{folder / 'store.db'}", "--artifacts-destination", str(folder)]
    command = [python(own), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
    given = {**variables(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # five more processes, for what nobody asks of it
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=given, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < ends, log.read_text()
            time.sleep(0.1)


def mirrored(folder: Path, uri: str, name: str) -> Pipeline:
    """A configuration whose registry is mirrored."""

    def edit(content: dict[str, Any]) -> None:
        content["registry"] = {"mlflow": {"tracking_uri": uri, "model": name}}

    return pipeline(folder, "toy", edit)


def stored(uri: str, name: str) -> tuple[dict[str, MirroredVersion], dict[str, str]]:
    """What MLflow's own client reads: its versions by the number of ours, and ours by alias."""
    client = MlflowClient(uri)
    versions = {each.tags["ringmill.version"]: each for each in client.search_model_versions(f"name='{name}'")}
    ours = {str(each.version): number for number, each in versions.items()}
    aliases = client.get_registered_model(name).aliases
    return versions, {alias: ours[str(number)] for alias, number in aliases.items()}


def test_versions_and_aliases_follow_the_table(server: str, tmp_path: Path) -> None:
    config = mirrored(tmp_path, server, "toy")
    first = version(1, alias="champion", uri="s3://lake/models/1")
    rows = history(first, version(2, alias="challenger"), version(3, state="refused", reasons=("auc",)))
    assert mirror(config, current(rows))
    assert not mirror(config, current(rows))  # nothing is behind
    versions, aliases = stored(server, "toy")
    assert aliases == {"champion": "1", "challenger": "2"}
    assert {number: each.tags["ringmill.state"] for number, each in versions.items()} == {
        "1": "passed", "2": "passed", "3": "refused",
    }  # fmt: skip
    assert (versions["1"].source, versions["2"].source) == ("s3://lake/models/1", "ringmill://toy/2")
    assert versions["2"].tags["ringmill.uri"] == "/models/2"
    assert versions["2"].tags["ringmill.hash"] == first.hash[:-1] + "2"

    promoted = with_alias(rows, 2, "champion", change(5))
    assert mirror(config, current(promoted))
    assert stored(server, "toy")[1] == {"champion": "2"}


def test_what_others_changed_there_is_corrected_and_what_is_theirs_stays(server: str, tmp_path: Path) -> None:
    client = MlflowClient(server)
    client.create_registered_model("shared")
    theirs = client.create_model_version("shared", "s3://elsewhere/model")
    client.set_registered_model_alias("shared", "theirs", theirs.version)
    config = mirrored(tmp_path, server, "shared")
    rows = current(history(version(1, alias="champion")))
    assert mirror(config, rows)
    own = next(v for v in client.search_model_versions("name='shared'") if "ringmill.version" in v.tags)
    assert str(own.version) == "2"
    client.set_registered_model_alias("shared", "champion", theirs.version)
    client.set_model_version_tag("shared", str(own.version), "ringmill.state", "refused")
    assert mirror(config, rows)
    assert client.get_model_version("shared", str(own.version)).tags["ringmill.state"] == "passed"
    assert {k: str(v) for k, v in client.get_registered_model("shared").aliases.items()} == {"champion": "2", "theirs": "1"}


ROWS: list[ModelVersion] = current(history(version(1, alias="champion")))


def test_a_server_that_is_gone_or_none_is_an_error_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(MlflowError, match=f"http://{address}: registered-models/get failed: .*Check the address"):
        mirror(mirrored(tmp_path, f"http://{address}", "toy"), ROWS)
    bare = pipeline(tmp_path, "toy", lambda content: content.update(registry={"mlflow": {}}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(MlflowError, match=r"the address is not set; expected one of http or https\. Set registry\.mlflow"):
        mirror(bare, ROWS)
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", f"http://ann:secret@{address}")
    with pytest.raises(MlflowError, match=f"http://{address}: ") as caught:
        mirror(bare, ROWS)
    assert "secret" not in str(caught.value)
    assert not mirror(pipeline(tmp_path, "toy", lambda content: content.update(registry={})), ROWS)


def test_a_mirror_is_no_part_of_the_gate(tmp_path: Path) -> None:
    with_mirror, without = mirrored(tmp_path, "http://a", "toy"), pipeline(tmp_path, "toy", lambda c: c.update(registry={}))
    assert with_mirror.digest("registry") == without.digest("registry")
