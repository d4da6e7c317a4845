"""KServe's REST client, in an environment of its own, against the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.serving.bundle import Bundle
from setup.environments import environment, run_in
from tests.pipelines.serving.running import Running
from tests.pipelines.serving.test_protocol import TENSORS
from tests.pipelines.serving.tiny import FLIGHT, arrays
from tests.root import ROOT

pytestmark = pytest.mark.slow


def test_kserve_asks_for_health_and_infers_in_json_and_binary(service: Running, published: Path, tmp_path: Path) -> None:
    own = environment("kserve", ROOT / "tests" / "kserve-requirements.txt", check="import kserve; kserve.InferenceRESTClient")
    (tmp_path / "rows.json").write_text(json.dumps(list(TENSORS.values())))
    program = ROOT / "tests" / "pipelines" / "serving" / "kserve_client.py"
    result = json.loads(run_in(own, str(program), f"http://127.0.0.1:{service.port}", str(tmp_path / "rows.json")))
    assert (result["live"], result["ready"], result["model_ready"], result["id"]) == (True, True, True, "k1")
    expected = Bundle.open(str(published)).score(arrays(FLIGHT)).tolist()
    assert result["scores"] == [pytest.approx(expected, abs=1e-6)] * 4
    assert "past_temp: missing; expected 3 values" in result["error"] and "422" in result["error"]
