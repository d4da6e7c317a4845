"""The aliases as a small file beside the bundles, for services without Spark. The table `models` is the truth.

The jobs publish and promote write it after their commit, whole or not at all. One that was killed in between leaves the file
behind the table: the next publish, promote or maintain writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError

from pipelines.config import Model, Pipeline
from pipelines.errors import DataError
from pipelines.io.filesystem import read_bytes, warehouse_uri, write_bytes
from pipelines.registry.digest import check_bundle
from pipelines.registry.versions import CHAMPION, ModelVersion, current

FORMAT = 1
REWRITE = "Run jobs/maintain.py, which writes it anew from the table models."


class ModelBundle(NamedTuple):
    """A version to use: its number, its bundle's folder, the hash that stands for the bundle, and of a binary model the least
    probability of the second class.
    """

    version: int
    uri: str
    hash: str
    threshold: float | None


class _Location(Model):
    uri: str
    hash: str
    threshold: float | None = None


class AliasFile(Model):
    """What the file holds: versions that passed their gate, and which of them has which alias, at a snapshot of `models`."""

    format: int
    name: str
    snapshot: int | None
    aliases: dict[str, int]
    versions: dict[int, _Location]


def alias_uri(config: Pipeline) -> str:
    """Where a pipeline's alias file is."""
    return f"{warehouse_uri(config.lake)}/_artifacts/{config.pipeline}/models/aliases.json"


def champion(config: Pipeline, name: str = CHAMPION) -> ModelBundle:
    """The version behind an alias (or a version's number), read without Spark.

    Raises DataError when the registry is empty, no version has that alias, or the file is damaged, and ExternalError when the
    version's bundle is gone or another one lies in its folder.
    """
    content = _read(alias_uri(config))
    version = int(name) if name.isdecimal() else content.aliases.get(name)
    if version is None:
        have = ", ".join(f"{alias} (version {number})" for alias, number in content.aliases.items()) or "no alias"
        raise DataError(f"model {name}: no version has that alias; there is {have}. Run jobs/promote.py --version.")
    location = content.versions.get(version)
    if location is None:
        known = ", ".join(map(str, content.versions)) or "none"
        which = "" if name.isdecimal() else f" of the alias {name}"
        raise DataError(
            f"model {name}: version {version}{which} is not among the versions that passed their gate ({known}). Name one of "
            f"them, or run jobs/promote.py --version."
        )
    check_bundle(location.uri, location.hash)
    return ModelBundle(version, location.uri, location.hash, location.threshold)


def write_aliases(config: Pipeline, history: Sequence[ModelVersion], snapshot: int | None) -> bool:
    """Write the file when it says another thing than the table's rows, and return whether it did."""
    uri = alias_uri(config)
    rows = current(history)
    content = AliasFile(
        format=FORMAT,
        name=config.pipeline,
        snapshot=snapshot,
        aliases={row.alias: row.version for row in rows if row.alias},
        versions={row.version: _location(row) for row in rows if row.state == "passed"},
    )
    try:
        same = _read(uri).model_copy(update={"snapshot": snapshot}) == content
    except DataError:
        same = False
    if not same:
        write_bytes(uri, content.model_dump_json(indent=2).encode())
    return not same


def _location(version: ModelVersion) -> _Location:
    return _Location(uri=version.uri, hash=version.hash, threshold=version.metrics.get("threshold"))


def _read(uri: str) -> AliasFile:
    """Read the file; raises DataError when it is missing or is none."""
    try:
        raw = read_bytes(uri)
    except FileNotFoundError as error:
        raise DataError(
            f"models: the registry is empty: there is no {uri}. Run jobs/publish.py first; if the table models has versions, "
            f"jobs/maintain.py writes the file anew."
        ) from error
    try:
        content = json.loads(raw)
        version = content.get("format")
        if type(version) is int and version > FORMAT:
            raise DataError(
                f"models: {uri} has format {version}; this version of ringmill reads up to {FORMAT}. Update it here."
            )
        return AliasFile.model_validate(content)
    except (ValueError, AttributeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"models: {uri} is damaged ({first}); expected aliases and versions as JSON. {REWRITE}") from error
