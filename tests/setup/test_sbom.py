"""The bill of materials: what CycloneDX requires of it, and what must be in it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from setup.sbom import JARS, bill, licence_of, main

TYPES = {"application", "framework", "library", "container", "platform", "operating-system", "device", "file", "data"}


@pytest.fixture(scope="module")
def sbom() -> dict[str, Any]:
    """The bill of noon on a day in November."""
    return bill(datetime(2026, 11, 28, 12, tzinfo=UTC))


@pytest.fixture(scope="module")
def dependencies(sbom: dict[str, Any]) -> dict[str, list[str]]:
    """What each component depends on, by reference."""
    return {node["ref"]: node["dependsOn"] for node in sbom["dependencies"]}


def test_it_has_the_head_that_the_schema_requires(sbom: dict[str, Any]) -> None:
    assert (sbom["bomFormat"], sbom["specVersion"], sbom["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sbom["serialNumber"])
    assert sbom["metadata"]["timestamp"] == "2026-11-28T12:00:00+00:00"


def test_components_have_a_type_a_name_a_version_and_a_reference_of_their_own(sbom: dict[str, Any]) -> None:
    components = sbom["components"]
    assert all(each["type"] in TYPES and each["name"] and each["version"] for each in components)
    references = [each["bom-ref"] for each in components]
    assert len(set(references)) == len(references)


def test_dependencies_are_among_the_components_and_named_once(sbom: dict[str, Any], dependencies: dict[str, list[str]]) -> None:
    references = {each["bom-ref"] for each in sbom["components"]}
    assert {"ringmill", *(needed for needs in dependencies.values() for needed in needs)} == {"ringmill", *references}
    assert all(len(set(needs)) == len(needs) for needs in dependencies.values())


def test_it_has_all_that_jobs_run_with_and_nothing_of_the_tests(
    sbom: dict[str, Any], dependencies: dict[str, list[str]]
) -> None:
    assert f"pkg:pypi/pyspark@{version('pyspark')}" in dependencies["ringmill"]
    assert f"pkg:pypi/py4j@{version('py4j')}" in dependencies[f"pkg:pypi/pyspark@{version('pyspark')}"]
    assert f"pkg:pypi/horovod@{version('horovod')}" in [each["bom-ref"] for each in sbom["components"]]
    assert not [each for each in sbom["components"] if each["name"] in ("pytest", "mypy", "ruff")]


def test_jars_have_their_hash_and_licence(sbom: dict[str, Any]) -> None:
    by_name = {each["name"]: each for each in sbom["components"] if each["purl"].startswith("pkg:maven/")}
    jars = sorted(JARS.glob("*.jar"))
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in jars)
    assert sorted(each["hashes"][0]["content"] for each in by_name.values()) == digests != []
    assert by_name["postgresql"]["purl"].startswith("pkg:maven/org.postgresql/postgresql@42.")
    assert licence_of(by_name["postgresql"]) == "BSD-2-Clause"
    assert all(each["licenses"] for each in by_name.values())


def test_it_is_written_where_the_argument_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "out" / "sbom.json")]) == 0
    sbom = json.loads((tmp_path / "out" / "sbom.json").read_text())
    assert f"{len(sbom['components'])} components in {tmp_path}/out/sbom.json" in capsys.readouterr().out
