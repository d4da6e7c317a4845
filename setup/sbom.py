"""Write dist/sbom.cdx.json, what ringmill runs with as a CycloneDX 1.6 bill of materials, and print the licences.

`python setup/sbom.py [FILE]` (`make sbom`). It knows the packages of this environment that ringmill needs at run time, and the
jars of .venv/jars; jars within pyspark or within a shaded jar are theirs to list.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeAlias

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from setup.package.packages import requirements_of

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "dist" / "sbom.cdx.json"
JARS = ROOT / ".venv" / "jars"
# Horovod is built here and no dependency of pyproject.toml. A jar says nothing of its licence that a program can read.
BUILT = ("horovod",)
JAR_LICENCES = {
    "iceberg-spark-runtime": "Apache-2.0",
    "sqlite-jdbc": "Apache-2.0",
    "postgresql": "BSD-2-Clause",
    "mariadb-java-client": "LGPL-2.1-or-later",
    "checker-qual": "MIT",
}
LONGEST_NAME = 60
Component: TypeAlias = dict[str, Any]


def main(argv: list[str]) -> int:
    """Write the file, print a line a licence, and return 0."""
    target = Path(argv[0]) if argv else TARGET
    document = bill(datetime.now(UTC))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for licence, count in Counter(licence_of(each) for each in document["components"]).most_common():
        print(f"{count:>5}  {licence}")
    print(f"{len(document['components'])} components in {target}")
    return 0


def bill(now: datetime) -> dict[str, Any]:
    """The bill of materials, as CycloneDX 1.6 has it; raises PackageNotFoundError when a needed package is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = dict(_closure([*project["dependencies"], *BUILT]))
    own = {"type": "application", "bom-ref": "ringmill", "name": "ringmill", "version": project["version"]}
    jars = list(_jars())
    graph = [
        {
            "ref": "ringmill",
            "dependsOn": sorted([*map(_reference, _direct(project, needed)), *(jar["bom-ref"] for jar in jars)]),
        },
        *({"ref": _reference(each), "dependsOn": sorted(set(map(_reference, needs)))} for each, needs in needed.values()),
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "component": {**own, "licenses": [{"license": {"id": "Apache-2.0"}}]},
        },
        "components": [*(_package(each) for each, _ in needed.values()), *jars],
        "dependencies": graph,
    }


def licence_of(component: Component) -> str:
    """A component's licence in one line."""
    names = [each.get("expression") or each["license"].get("id") or each["license"]["name"] for each in component["licenses"]]
    return ", ".join(names) or "not said by its metadata"


def _closure(required: Iterable[str]) -> Iterator[tuple[str, tuple[Distribution, list[Distribution]]]]:
    """By name, each package that is needed here, with those that it needs itself."""
    waiting, seen = [Requirement(each) for each in required], set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (key := f"{name}{sorted(requirement.extras)}") in seen:
            continue
        seen.add(key)
        package = distribution(name)
        needs = list(_needs(package, requirement.extras))
        waiting += needs
        yield name, (package, [distribution(need.name) for need in needs])


def _needs(package: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for requirement in requirements_of(package, extras):
        try:
            distribution(requirement.name)
        except PackageNotFoundError:  # the lock leaves it out on purpose: Horovod's and TensorFlow's helpers
            continue
        yield requirement


def _direct(project: dict[str, Any], needed: dict[str, Any]) -> list[Distribution]:
    names = [canonicalize_name(Requirement(each).name) for each in (*project["dependencies"], *BUILT)]
    return [needed[name][0] for name in names]


def _package(package: Distribution) -> Component:
    return {
        "type": "library",
        "bom-ref": _reference(package),
        "name": package.name,
        "version": package.version,
        "purl": _reference(package),
        "licenses": list(_licences(package)),
    }


def _licences(package: Distribution) -> Iterator[dict[str, Any]]:
    """What the metadata says: an SPDX expression, a short name, or the classifiers."""
    fields = {name: package.metadata.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")}
    short = "".join(fields["License"]).strip()
    if expressions := fields["License-Expression"]:
        yield {"expression": expressions[0]}
    elif short and len(short) <= LONGEST_NAME and "\n" not in short:
        yield {"license": {"name": short}}
    else:
        for classifier in fields["Classifier"]:
            if classifier.startswith("License ::") and not classifier.endswith("OSI Approved"):
                yield {"license": {"name": classifier.rpartition(" :: ")[2]}}


def _jars() -> Iterator[Component]:
    for path in sorted(JARS.glob("*.jar")):
        group, _, rest = path.stem.partition("_")
        artefact, _, version = rest.rpartition("-")
        purl = f"pkg:maven/{group}/{artefact}@{version}"
        licence = next((held for name, held in JAR_LICENCES.items() if artefact.startswith(name)), None)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield {
            "type": "library", "bom-ref": purl, "group": group, "name": artefact, "version": version, "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": digest}], "licenses": [{"license": {"id": licence}}] if licence else [],
        }  # fmt: skip


def _reference(package: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(package.name)}@{package.version}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
