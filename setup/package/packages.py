"""The packages that jobs import, and what they depend on, taken from the environment as pip recorded them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from setup.package.archive import Member
from setup.package.interpreter import VERSION

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
HOROVOD = ("horovod", "cffi", "cloudpickle", "psutil")  # built from source, so pyproject.toml does not name them
# Others name them as dependencies, and import them only to build or to show TensorBoard's pages.
UNUSED = {"setuptools", "wheel", "pip", "cmake", "libclang", "tensorboard-data-server"}
PROGRAMS = {"mpiexec.hydra", "hydra_pmi_proxy"}  # pip's other scripts begin with the path of their interpreter here
SOURCES = {".a", ".h", ".hpp", ".hh", ".inc", ".pxd", ".pyx", ".proto"}
UNUSED_FOLDERS = re.compile(
    r"(^|/)tests/|^onnx/(backend/)?test/|^(tensorflow|pyarrow|numpy/_core)/include/|^pyarrow/src/"
    r"|^pyspark/(jars|bin|sbin|examples|data|licenses|python)/"
)
SPARK = re.compile(r"^pyspark/((jars|bin|sbin|python/lib)/.*)$")


def runtime_packages() -> dict[str, Distribution]:
    """The distributions that jobs need, by name; raises PackageNotFoundError for one that is not installed."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    pending = [Requirement(line) for line in (*project["dependencies"], *HOROVOD)]
    packages: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        wanted = pending.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen or key[0] in UNUSED:
            continue
        seen.add(key)
        packages[key[0]] = distribution(key[0])
        pending.extend(requirements_of(packages[key[0]], wanted.extras))
    return packages


def requirements_of(package: Distribution, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """What a package needs itself here, with these of its extras."""
    for line in package.requires or ():
        wanted = Requirement(line)
        if not wanted.marker or any(wanted.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield wanted


def package_members(packages: dict[str, Distribution]) -> list[Member]:
    """The packages' files where the archive's interpreter looks for them: without tests, headers, scripts and Spark's jars."""
    return [member for package in packages.values() for file in package.files or () for member in _member(file)]


def _member(file: PackagePath) -> Iterator[Member]:
    source = Path(str(file.locate()))
    name = file.as_posix()
    if name.startswith("../"):
        name = name.lstrip("./")
        if (name.startswith("bin/") and Path(name).name not in PROGRAMS) or name.startswith(("include/", "share/")):
            return
        name = name if name.startswith("bin/") else f"lib/{name}"
    elif UNUSED_FOLDERS.search(name) or source.suffix in SOURCES:
        return
    else:
        name = f"lib/{VERSION}/site-packages/{name}"
    if source.is_file():
        yield Member(name, source)


def spark_members(pyspark: Distribution) -> list[Member]:
    """Spark itself as a host needs it to run: jars, scripts, and the archives of pyspark."""
    matches = [(file, SPARK.match(file.as_posix())) for file in pyspark.files or ()]
    return [Member(match[1], Path(str(file.locate()))) for file, match in matches if match and not match[1].endswith(".cmd")]
