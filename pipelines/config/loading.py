"""What a configuration names by `module:name`: contracts, derivations, networks."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.problems import one_line
from pipelines.errors import ConfigError
from schemas import contract
from schemas.contract import ContractError, Table

EXPECTED = "Expected 'module:name' of something importable"
CONTRACTS = str(Path(contract.__file__).parent)
CHECKING = tuple(f"{CONTRACTS}/{name}.py" for name in ("contract", "promises", "vocabulary"))
MOST_NAMES = 20


def load(path: str, key: str) -> Any:
    """The object at a dotted `module:attribute` path; raises ConfigError that names the configuration key."""
    module, _, attribute = path.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"{key}: cannot load {path!r}: it is no such path. {EXPECTED}.")
    try:
        loaded = importlib.import_module(module)
    except ContractError as error:
        raise ConfigError(f"{key}: {error}{_raised_at(error)}") from error
    except ModuleNotFoundError as error:
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(_raised(path, key, error)) from error
        raise ConfigError(
            f"{key}: cannot load '{path}': there is no module {error.name}. {EXPECTED}: see its spelling, and that PYTHONPATH "
            f"has the folder that it is in."
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(_raised(path, key, error)) from error
    try:
        return getattr(loaded, attribute)
    except AttributeError as error:
        known = [name for name in vars(loaded) if not name.startswith("_")][:MOST_NAMES]
        raise ConfigError(
            f"{key}: cannot load '{path}': {module} has no {attribute}. {EXPECTED}; it has {', '.join(known) or 'no name'}."
        ) from error


def load_contracts(module: str) -> Mapping[str, Table]:
    """The contracts of a module's SOURCES, by source; raises ConfigError when they are none."""
    tables = load(f"{module}:SOURCES", "contracts")
    if not isinstance(tables, Mapping) or not all(isinstance(table, Table) for table in tables.values()):
        raise ConfigError(
            f"contracts: {module}:SOURCES is {_kind(tables)}; expected a dict of each source's name to its Table. Fix it there."
        )
    return tables


def load_examples(module: str) -> Table:
    """The contract of a module's EXAMPLES; raises ConfigError when it is none."""
    table = load(f"{module}:EXAMPLES", "contracts")
    if not isinstance(table, Table):
        raise ConfigError(f"contracts: {module}:EXAMPLES is {_kind(table)}; expected a Table. Fix it there.")
    return table


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a dict to {', '.join(sorted({type(item).__name__ for item in value.values()}))}"
    return f"of type {type(value).__name__}"


def _raised(path: str, key: str, error: BaseException) -> str:
    message = one_line(error)
    return (
        f"{key}: cannot load '{path}': it raises {type(error).__name__}{f', {message}' if message else ''}{_raised_at(error)}. "
        f"{EXPECTED}: fix the module."
    )


def _raised_at(error: BaseException) -> str:
    """The file and line of a module that raised an error, where it is known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(("<", *CHECKING))]
    project_frames = [frame for frame in frames if not frame.filename.endswith(("importlib/__init__.py", "config/loading.py"))]
    return f" ({project_frames[-1].filename}, line {project_frames[-1].lineno})" if project_frames else ""
