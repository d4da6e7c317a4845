"""A folder that is not a model as it was published is a clear error; a model without ONNX is scored by TensorFlow."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BundleError, ExternalError
from pipelines.serving.bundle import Bundle
from tests.pipelines.serving.tiny import FLIGHT, arrays
from tests.root import ROOT

WHOLE = '{"format": 1, "files": {}, "task": {"kind": "binary"}}'


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "can't be loaded"),
        (WHOLE, "can't read"),
        ('{"features": []}', "lacks files, format, task: another version"),
        ('{"format": "1", "files": {}, "task": {}}', "format '1'; expected a whole number"),
        ("[]", "manifest.json is a list; expected a JSON object"),
        ('{"format": ', "manifest.json is no JSON"),
    ],
)
def test_what_is_no_model_is_exit_5(tmp_path: Path, manifest: str | None, message: str) -> None:
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(ExternalError, match=message) as caught:
        Bundle(str(tmp_path))
    assert caught.value.exit_code == 5


def test_a_model_of_this_machine_is_read_where_it_is(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Bundle(str(published)).folder == published
    assert list(tmp_path.iterdir()) == []


def test_onnx_runtime_sends_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """Its wheels would leave a device's id and a queue of events in ~/.cache, and `.ses` in the folder for temporary files."""
    code = "from pipelines.bundles.sessions import import_runtime; print(import_runtime().__name__)"
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    completed = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert completed.stdout == "onnxruntime\n"
    assert list(tmp_path.iterdir()) == []


def change_byte(folder: Path) -> None:
    """Flip one bit of the ONNX graph, whose size stays."""
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)


def make_newer(folder: Path) -> None:
    """Write the next format's number."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 3}))


def add_file(folder: Path) -> None:
    """Put a file beside the variables."""
    (folder / "saved_model" / "variables" / "more").write_text("x")


SPOILED: list[tuple[Callable[[Path], object], str]] = [
    (change_byte, r"model\.onnx is not as published: its size or SHA-256 differs\. Copy the folder again"),
    (lambda folder: (folder / "saved_model" / "saved_model.pb").unlink(), r"files are missing: saved_model/saved_model\.pb"),
    (add_file, r"does not name saved_model/variables/more; expected no other files"),
    (make_newer, r"its format is 3; this version of ringmill reads formats up to 2\. Update ringmill"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED, ids=["byte", "missing", "extra", "newer"])
def test_a_folder_that_was_changed_is_refused(copy: Path, spoil: Callable[[Path], object], message: str) -> None:
    Bundle.open(str(copy))
    spoil(copy)
    with pytest.raises(BundleError, match=message):
        Bundle.open(str(copy))


@pytest.fixture(scope="module")
def bundle(published: Path) -> Bundle:
    """The published model, opened once."""
    return Bundle.open(str(published))


def test_the_input_schema_has_types_units_bounds_and_examples(bundle: Bundle) -> None:
    fields = {field.name: field for field in bundle.input_schema}
    assert (fields["distance"].type, fields["distance"].unit, fields["distance"].minimum) == ("double", "miles", 1)
    assert (fields["origin"].datatype, fields["origin"].allowed) == ("BYTES", ("EWR", "JFK", "LGA"))
    assert (fields["moment"].type, fields["moment"].datatype, fields["moment"].nullable) == ("timestamp", "FP64", False)
    assert (fields["past_temp"].type, fields["past_temp"].length, fields["past_temp"].maximum) == ("array<double>", 3, 130)
    assert [name for name, field in fields.items() if field.from_history] == ["delay_1h", "past_temp"]
    assert {name: field.example for name, field in fields.items()} == FLIGHT


def test_the_output_schema_names_the_task_and_its_classes(bundle: Bundle) -> None:
    assert (bundle.output_schema.task, bundle.output_schema.classes) == ("binary", ("on time", "late"))


def test_the_manifest_names_every_file_and_the_libraries(published: Path, bundle: Bundle) -> None:
    files = {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    assert set(bundle.manifest["files"]) == files - {"manifest.json"}
    assert {"onnxruntime", "numpy"} <= set(bundle.manifest["libraries"])


def test_the_folder_holds_no_pickle(published: Path) -> None:
    assert not [path for path in published.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


def test_the_card_has_the_data_the_metrics_and_the_limits(bundle: Bundle) -> None:
    assert bundle.card["data"]["rows"] == {"train": 10}
    assert bundle.card["metrics"] == {"validation_loss": 0.5}
    assert any("delay_1h, past_temp" in limit for limit in bundle.card["limits"])


def test_onnx_runtime_and_tensorflow_score_alike(published: Path) -> None:
    bundle, rows = Bundle.open(str(published)), arrays(FLIGHT, {**FLIGHT, "temp": None, "origin": "LGA", "distance": 9.0})
    quick, slow = bundle.scorer(), bundle.scorer(onnx=False)
    assert (quick.runtime.split()[0], slow.runtime.split()[0]) == ("ONNX", "TensorFlow")
    np.testing.assert_allclose(quick.score(rows), slow.score(rows), rtol=0, atol=1e-6)
    assert len(set(quick.score(rows).tolist())) == 2


def test_scoring_with_onnx_imports_neither_tensorflow_nor_spark(published: Path) -> None:
    code = (
        "import sys; from pipelines.serving.bundle import Bundle; print(Bundle.open(sys.argv[1]).scorer().runtime);"
        "print(sorted({'tensorflow', 'keras', 'pyspark', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code, str(published)], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert completed.stdout.splitlines()[0].startswith("ONNX Runtime")
    assert completed.stdout.splitlines()[1] == "[]"
