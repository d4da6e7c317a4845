"""The service of a pipeline's alias: what it serves, how it follows a promotion, and registries that it can't serve from."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from pipelines.config import Pipeline
from pipelines.registry.aliases import write_aliases
from pipelines.registry.digest import bundle_hash
from pipelines.registry.versions import with_alias
from pipelines.serving.bundle import Bundle
from tests.pipelines.registry.versions import change, history, version
from tests.pipelines.serving.running import PATIENCE, running, start
from tests.pipelines.serving.tiny import FLIGHT, arrays
from tests.sample import configured


def registry(folder: Path, *bundles: Path) -> Path:
    """A pipeline whose versions are copies of bundles, the first one its champion; its configuration's file."""
    folder.mkdir()
    content = configured(folder, "toy")
    (folder / "toy.yaml").write_text(yaml.safe_dump(content))
    copies = [shutil.copytree(bundle, folder / f"bundle{number}") for number, bundle in enumerate(bundles, 1)]
    versions = [
        version(number, uri=str(copy), hash=bundle_hash(str(copy)), alias="champion" if number == 1 else None,
                metrics={"threshold": 0.31})
        for number, copy in enumerate(copies, 1)
    ]  # fmt: skip
    if versions:
        write_aliases(Pipeline.model_validate(content), history(*versions), 1)
    return folder / "toy.yaml"


def test_the_champion_is_served_and_a_promotion_followed(published: Path, other: Path, tmp_path: Path) -> None:
    config = registry(tmp_path / "r", published, other)
    scores = [float(Bundle.open(str(folder)).score(arrays(FLIGHT))[0]) for folder in (published, other)]
    with running(Path("champion"), "--config", str(config), "--poll-seconds", "0") as server:
        content = server.predict().json
        assert (content["version"], content["prediction"]["threshold"]) == ("1", 0.31)
        assert content["prediction"]["probability"] == pytest.approx(scores[0], abs=1e-6)
        uris = [str(tmp_path / "r" / f"bundle{number}") for number in (1, 2)]
        rows = history(*(version(at, uri=uri, hash=bundle_hash(uri)) for at, uri in enumerate(uris, 1)))
        write_aliases(
            Pipeline.model_validate(yaml.safe_load(config.read_text())), with_alias(rows, 2, "champion", change(9)), 2
        )
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda line: "version 2" in line.get("message", ""))
        content = server.predict().json
        assert (content["version"], content["prediction"]["threshold"]) == ("2", 0.5)
        assert content["prediction"]["probability"] == pytest.approx(scores[1], abs=1e-6)


Spoil = Callable[[Path], object]
UNUSABLE: list[tuple[str, str, Spoil, int, str]] = [
    ("empty", "champion", lambda folder: next(folder.rglob("aliases.json")).unlink(), 3, "the registry is empty"),
    ("alias", "challenger", lambda _: None, 3, "model challenger: no version has that alias; there is champion (version 1)"),
    ("deleted", "champion", lambda folder: shutil.rmtree(folder / "bundle1"), 5, "its manifest can't be read"),
    ("manifest", "champion", lambda folder: append(folder / "bundle1" / "manifest.json"), 5, "the folder has changed since"),
    ("graph", "champion", lambda folder: append(folder / "bundle1" / "model.onnx"), 5, "model.onnx is not as published"),
]


def append(path: Path) -> None:
    """Add a line end."""
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.slow
def test_a_registry_without_a_usable_model_ends_the_service_with_its_exit_code(published: Path, tmp_path: Path) -> None:
    def exit_of(name: str, alias: str, spoil: Spoil) -> tuple[int, str]:
        config = registry(tmp_path / name, published)
        spoil(config.parent)
        process = start(Path(alias), "--config", str(config))
        try:
            return process.wait(PATIENCE), process.communicate()[1]
        finally:
            process.kill()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: exit_of(*case[:3]), UNUSABLE))
    for (code, message), (name, _, _, expected, words) in zip(results, UNUSABLE, strict=True):
        assert code == expected and words in message, (name, code, message)
        assert "Traceback" not in message
