"""The manifest of a model's folder: a format version and the SHA-256 of every other file, written last and verified on load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipelines.errors import BundleError

FORMAT, RAW_FORMAT = 2, 1  # the newest, whose ONNX graph may begin at prepared inputs; one whose graph begins at raw values
MANIFEST = "manifest.json"
FEATURES, INPUT_SCHEMA, OUTPUT_SCHEMA, CARD = "features.json", "input_schema.json", "output_schema.json", "model_card.json"
CALIBRATION = "calibration.json"
PREPARED_INPUTS = "prepared_inputs"  # of the manifest: what model.onnx takes, where that is not the raw values
KERAS_FILE, SAVED_MODEL, ONNX_FILE, NETWORK_FILE = "model.keras", "saved_model", "model.onnx", "network.onnx"
LIBRARIES = ("tensorflow-cpu", "tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx", "numpy", "pyarrow")
SHOWN = 5


def write_json(path: Path, content: object) -> None:
    """Write a value as indented JSON, which people read too."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Describe a folder that is otherwise complete: the facts, the libraries' versions, and each file's bytes and SHA-256.

    Facts with `libraries` say which ones exported the model, as a folder's manifest does that is written anew. The format is
    the oldest whose readers can score with the folder.
    """
    described = {
        "format": FORMAT if facts.get(PREPARED_INPUTS) else RAW_FORMAT,
        "libraries": library_versions(),
        **facts,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: _describe(folder / name) for name in _names(folder)},
    }
    write_json(folder / MANIFEST, described)


def library_versions() -> dict[str, str]:
    """The installed versions of the libraries that a model is exported and scored with."""
    installed = {}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def read_manifest(folder: Path, uri: str) -> dict[str, Any]:
    """Read and verify a local copy of the model's folder at `uri`: each file is there with its SHA-256, and no other file is.

    Raises BundleError when there is no manifest, its format is newer than this code's, or a file is missing, changed or extra.
    """
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"model {uri}: can't be loaded ({error}). Train one first, or fix the path.") from error
    except ValueError as error:
        raise BundleError(f"model {uri}: {MANIFEST} is no JSON ({error}). {RESTORE}") from error
    _check_format(manifest, uri)
    _check_files(folder, manifest["files"], uri)
    return dict(manifest)


RESTORE = "Copy the folder again from where it was published, or train again."


def _check_format(manifest: Any, uri: str) -> None:
    if not isinstance(manifest, dict):
        raise BundleError(f"model {uri}: {MANIFEST} is a {type(manifest).__name__}; expected a JSON object. {RESTORE}")
    version = manifest.get("format")
    if type(version) is int and version > FORMAT:
        raise BundleError(
            f"model {uri}: its format is {version}; this version of ringmill reads formats up to {FORMAT}. Update ringmill "
            f"here."
        )
    if missing := sorted({"format", "files", "task"} - set(manifest)):
        raise BundleError(f"model {uri}: its manifest lacks {', '.join(missing)}: another version exported it. Train again.")
    files = manifest["files"]
    if type(version) is not int or version < 1 or not isinstance(files, dict):
        raise BundleError(f"model {uri}: format {version!r}; expected a whole number from 1, and files as an object. {RESTORE}")


def _check_files(folder: Path, expected: Mapping[str, Any], uri: str) -> None:
    present = set(_names(folder))
    if missing := sorted(set(expected) - present):
        raise BundleError(f"model {uri}: files are missing: {_some(missing)}; {MANIFEST} names them. {RESTORE}")
    if extra := sorted(present - set(expected)):
        raise BundleError(f"model {uri}: {MANIFEST} does not name {_some(extra)}; expected no other files. {RESTORE}")
    if changed := [name for name in sorted(expected) if _describe(folder / name) != expected[name]]:
        raise BundleError(f"model {uri}: {_some(changed)} is not as published: its size or SHA-256 differs. {RESTORE}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _names(folder: Path) -> list[str]:
    """The files of a folder and its folders but for the manifest, as relative POSIX paths."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(path for path in paths if path != MANIFEST)


def _describe(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
