"""Models taking each other's place within a process, the seam of aliases, and a queue that is full."""

from __future__ import annotations

import asyncio
import gc
import hmac
import json
import shutil
import sys
import weakref
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from pipelines.bundles.calibration import Calibration, CalibrationEffect, IsotonicCalibration, PlattCalibration, add_calibration
from pipelines.bundles.manifest import write_manifest
from pipelines.errors import BundleError, ConfigError, DataError
from pipelines.registry.source import Current
from pipelines.serving.bundle import Bundle
from pipelines.serving.openapi import describe
from pipelines.serving.service import Service
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.sources import PathSource, model_source
from pipelines.serving.tensors import model_metadata
from tests.pipelines.serving.in_process import post
from tests.pipelines.serving.running import ROW
from tests.pipelines.serving.tiny import FLIGHT
from tests.root import ROOT


class Listed:
    """A source that gives one model after the other, or raises."""

    def __init__(self, *steps: Current | Exception) -> None:
        self._steps = list(steps)

    def current(self) -> Current:
        """The next step; the last one for ever."""
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        return step


def test_a_replaced_model_leaves_nothing_behind(published: Path, other: Path) -> None:
    service = Service(Listed(*(Current(str(n), str((published, other)[n % 2])) for n in range(6))), Settings())
    service.load_first()
    gc.disable()
    try:
        for number in range(1, 6):
            old = weakref.ref(service.model)
            assert asyncio.run(service.refresh())
            assert (service.model.version, old()) == (str(number), None)
        assert not asyncio.run(service.refresh())  # the same one again
    finally:
        gc.enable()


def test_a_source_or_a_model_that_fails_leaves_the_old_one(published: Path, tmp_path: Path) -> None:
    first = Current("1", str(published))
    missing = Current("2", str(tmp_path / "none"))
    service = Service(Listed(first, missing, DataError("no alias"), first), Settings())
    service.load_first()
    for _ in range(3):
        assert not asyncio.run(service.refresh())
        assert service.model.version == "1"
    with pytest.raises(BundleError, match="can't be loaded"):
        PathSource(str(tmp_path / "none")).current()


def test_with_a_configuration_the_registry_resolves_the_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("stub_registry")
    module.AliasSource = lambda config, alias: (config.pipeline, alias)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stub_registry", module)
    monkeypatch.setattr("pipelines.serving.sources.ALIAS_SOURCE", "stub_registry:AliasSource")
    source: Any = model_source("champion", ROOT / "conf" / "flights.yaml")
    assert source == ("flights", "champion")
    monkeypatch.setattr("pipelines.serving.sources.ALIAS_SOURCE", "no_registry:AliasSource")
    with pytest.raises(ConfigError, match="--model: cannot load 'no_registry:AliasSource'"):
        model_source("champion", ROOT / "conf" / "flights.yaml")


def test_a_full_queue_is_503_and_says_when_to_try_again(published: Path) -> None:
    service = Service(
        PathSource(str(published)), Settings(limits=Limits(queue_rows=3, retry_after_seconds=7), access_log=False)
    )
    service.load_first()
    responses = asyncio.run(post(service, [ROW] * 2, [ROW] * 2, ROW))
    assert [status for status, _, _ in responses] == [200, 503, 200]
    _, headers, content = responses[1]
    assert headers[b"retry-after"] == b"7"
    assert content["error"].startswith("2 rows wait to be scored; expected at most 3.")


KNOTS = ((0.2, 0.4, 0.6, 0.8), (0.0, 0.1, 0.9, 1.0))


@pytest.fixture(params=["platt", "isotonic"])
def calibrated(published: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The same model with a calibration."""
    folder = Path(shutil.copytree(published, tmp_path / "calibrated"))
    of: dict[str, Calibration] = {
        "platt": PlattCalibration(slope=2.0, intercept=0.5),
        "isotonic": IsotonicCalibration(scores=KNOTS[0], values=KNOTS[1]),
    }
    effect = CalibrationEffect(method=request.param, calibration_error=(0.1, 0.02), log_loss=(0.5, 0.4))
    add_calibration(folder, of[request.param], effect, threshold=0.37)
    return folder


def test_a_carried_calibration_is_applied_beside_the_score(calibrated: Path, published: Path, tmp_path: Path) -> None:
    service = Service(PathSource(str(calibrated)), Settings(request_log=tmp_path / "log"))
    plain = Service(PathSource(str(published)), Settings())
    for each in (service, plain):
        each.load_first()
    [(status, _, content)], [(_, _, before)] = (asyncio.run(post(each, ROW)) for each in (service, plain))
    prediction, score = content["prediction"], before["prediction"]["probability"]
    assert (status, prediction["probability"], prediction["threshold"]) == (200, score, 0.37)
    assert prediction["class"] == ("late" if score >= 0.37 else "on time")
    method = service.model.output.calibration
    expected = expit(2 * logit(score) + 0.5) if method == "platt" else float(np.interp(score, *KNOTS))
    assert prediction["calibrated_probability"] == pytest.approx(expected, abs=1e-6)
    assert "calibrated_probability" not in before["prediction"]
    [line] = [json.loads(line) for path in (tmp_path / "log").iterdir() for line in path.read_text().splitlines()]
    assert line["served_calibrated_score"] == prediction["calibrated_probability"]
    described = json.dumps(describe(service.model, with_key=False))
    assert "calibrated_probability" in described
    assert "calibrated_probability" not in json.dumps(describe(plain.model, with_key=False))
    assert service.model.bundle.card["calibration"]["log_loss"] == [0.5, 0.4]


def test_the_protocol_has_the_calibrated_output_beside_the_score(calibrated: Path) -> None:
    service = Service(PathSource(str(calibrated)), Settings())
    service.load_first()
    fields = service.model.schema.fields.values()
    inputs = [
        {"name": field.name, "datatype": field.datatype, "shape": [1, *([field.length] if field.length else [])],
         "data": np.atleast_1d(FLIGHT[field.name]).tolist()}
        for field in fields
    ]  # fmt: skip
    wanted = [[], [{"name": "calibrated_output"}], [{"name": "score"}]]
    bodies = [{"inputs": inputs, **({"outputs": outputs} if outputs else {})} for outputs in wanted]
    both, one, wrong = asyncio.run(post(service, *bodies, path="/v2/models/tiny/infer"))
    [(_, _, named)] = asyncio.run(post(service, ROW))
    values = {tensor["name"]: tensor["data"][0] for tensor in both[2]["outputs"]}
    assert values == pytest.approx(
        {"output": named["prediction"]["probability"], "calibrated_output": named["prediction"]["calibrated_probability"]},
        abs=1e-6,
    )
    assert [tensor["name"] for tensor in one[2]["outputs"]] == ["calibrated_output"]
    assert wrong[0] == 400
    assert wrong[2]["error"] == "outputs[0].name is 'score'; expected output or calibrated_output."
    metadata = model_metadata("tiny", "1", "onnxruntime_onnx", service.model.schema, service.model.output)
    assert [output["name"] for output in metadata["outputs"]] == ["output", "calibrated_output"]


def test_a_changed_calibration_is_refused(calibrated: Path) -> None:
    Bundle.open(str(calibrated))
    path = calibrated / "calibration.json"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(BundleError, match=r"calibration\.json is not as published"):
        Bundle.open(str(calibrated))


@pytest.fixture
def with_a_person(published: Path, tmp_path: Path) -> Path:
    """The same model, but that its airline is personal."""
    folder = Path(shutil.copytree(published, tmp_path / "personal"))
    fields = json.loads((folder / "input_schema.json").read_text())
    changed = [{**field, "personal": field["name"] == "airline"} for field in fields]
    (folder / "input_schema.json").write_text(json.dumps(changed))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    write_manifest(folder, {name: value for name, value in manifest.items() if name not in ("format", "files")})
    return folder


def test_requests_are_logged_as_they_were_sent_but_for_personal_values(with_a_person: Path, tmp_path: Path) -> None:
    folder, source = tmp_path / "log", PathSource(str(with_a_person))
    service = Service(source, Settings(request_log=folder, request_log_key="secret"))
    service.load_first()
    responses = asyncio.run(post(service, ROW, [ROW, {**ROW, "temp": None, "airline": None, "past_temp": [None, 1, 2]}]))
    (path,) = folder.iterdir()
    lines = sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda line: line["temp"] is None)
    assert len(lines) == 3
    hashed = hmac.new(b"secret", b"B6", "sha256").hexdigest()
    inputs = {name: value for name, value in lines[0].items() if not name.startswith("served_")}
    assert inputs == {**ROW, "airline": hashed, "moment": "2013-07-04T12:00:00+00:00"}
    assert (lines[2]["temp"], lines[2]["airline"], lines[2]["past_temp"], lines[2]["served_row"]) == (
        None,
        None,
        [None, 1, 2],
        1,
    )
    assert lines[0]["served_score"] == responses[0][2]["prediction"]["probability"]
    assert {line["served_request"] for line in lines} == {headers[b"x-request-id"].decode() for _, headers, _ in responses}
    with pytest.raises(ConfigError, match=r"airline of model tiny is personal, and no key to hash it is set"):
        Service(source, Settings(request_log=folder)).load_first()


def test_a_share_of_the_requests_is_logged_by_their_ids(published: Path, tmp_path: Path) -> None:
    settings = Settings(request_log=tmp_path / "log", request_log_share=0.25, access_log=False)
    service = Service(PathSource(str(published)), settings)
    service.load_first()
    responses = asyncio.run(post(service, *[ROW] * 200))
    ids = {headers[b"x-request-id"].decode() for _, headers, _ in responses}
    lines = [
        json.loads(line)["served_request"] for path in (tmp_path / "log").iterdir() for line in path.read_text().splitlines()
    ]
    assert set(lines) == {each for each in ids if zlib.crc32(each.encode()) / 2**32 < 0.25}
    assert 20 < len(lines) < 90
