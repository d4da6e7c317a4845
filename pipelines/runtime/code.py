"""Which code ran: the released version, and digests of the source as it is.

ringmill's own code is every module but those that belong to one pipeline: modules of schemas and of pipelines.stages count only
where ringmill itself imports them, since contracts and derivations are loaded by the names that a configuration gives.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pipelines
import schemas
from pipelines.config import Pipeline, load_examples

OF_PIPELINES = ("pipelines.stages.", "schemas.")
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]+))", re.MULTILINE)
DIGITS = 12


@cache
def code_version() -> str:
    """Version and the first twelve hex digits of the SHA-256 of all Python files of pipelines and schemas, for `runs`."""
    return f"{pipelines.__version__}+{_digest(_own_files())}"


@cache
def engine_version() -> str:
    """The same of ringmill's own code: by it work counts as done, whatever changes in the modules of some pipeline."""
    files = _own_files()
    roots = [name for name in files if not name.startswith(OF_PIPELINES)]
    return f"{pipelines.__version__}+{_digest({name: files[name] for name in _reached(roots, files)})}"


def derivation_version(config: Pipeline) -> str:
    """A digest of what makes a pipeline's examples: their contract, the module of `features.derive`, and what that imports from
    its own package.
    """
    module = config.features.derive.partition(":")[0]
    files = _own_files() | _package_files(module)
    reached = {name: files[name] for name in _reached([module], files)}
    return f"{_digest(reached)} {load_examples(config.contracts)!r}"


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name].read_bytes())
    return digest.hexdigest()[:DIGITS]


@cache
def _own_files() -> dict[str, Path]:
    """The modules of pipelines and schemas, by name."""
    packages = (Path(str(package.__file__)).parent for package in (pipelines, schemas))
    return {name: path for folder in packages for name, path in _modules(folder, folder.name)}


def _package_files(module: str) -> dict[str, Path]:
    """The modules of the top-level package that a module is in, by name; the module alone where it is in none."""
    top = module.partition(".")[0]
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        # A folder without __init__.py is a package too.
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return {name: path for folder in folders for name, path in _modules(Path(folder), top)}
    path = Path(spec.origin)
    return dict(_modules(path.parent, top)) if path.name == "__init__.py" else {top: path}


def _modules(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.py"):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _reached(roots: Iterable[str], files: Mapping[str, Path]) -> set[str]:
    """The modules that some modules are or import, one through another, of those that there are files of."""
    reached, waiting = set[str](), [root for root in roots if root in files]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [imported for imported in _imports(name, files[name]) if imported in files]
    return reached


def _imports(name: str, path: Path) -> Iterator[str]:
    """The modules that a module's source names in its imports, with the packages that they are in."""
    for base, names, plain in IMPORT.findall(path.read_text(encoding="utf-8")):
        for module in re.findall(r"[\w.]+", re.sub(r"\bas\s+\w+", "", plain)):
            yield from _with_packages(module)
        if base:
            full = _absolute(base, name, is_package=path.name == "__init__.py")
            yield from _with_packages(full)
            yield from (f"{full}.{each}" for each in re.findall(r"\w+", re.sub(r"\bas\s+\w+|#[^\n]*", "", names)))


def _absolute(base: str, name: str, *, is_package: bool) -> str:
    """The full name of what `from base import …` names in a module; leading dots count from the module's own package."""
    dots = len(base) - len(base.lstrip("."))
    if not dots:
        return base
    parts = name.split(".")
    parents = parts[: len(parts) - dots + is_package]
    return ".".join([*parents, base[dots:]] if base[dots:] else parents)


def _with_packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))
