"""YAML files in which each key is there once, and whose errors say where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipelines.config.problems import one_line
from pipelines.errors import ConfigError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]


MERGE = "tag:yaml.org,2002:merge"  # of the key <<, which stands for those of another mapping


class _Loader(_SafeLoader):
    """PyYAML's, which says where a value is that it can't read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; raises YAMLError for a date that does not exist, a number that is another than it seems, and the
        like.
        """
        try:
            _check_number(node)
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
            kind = str(node.tag).rpartition(":")[2]
            problem = f"{node.value!r} can't be read as {kind} ({one_line(error)})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _check_number(node: yaml.Node) -> None:
    """Raise ValueError for a number that YAML 1.1 reads to another base: 010 as 8, 1:30 as 90."""
    if node.tag.rpartition(":")[2] in ("int", "float") and re.match(r"[-+]?(0[0-7_]*[1-7]|[0-9_]+:)", str(node.value)):
        raise ValueError("YAML takes it for octal or for base 60; write another number, or put it in quotes")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises ConfigError when it can't be read or is no YAML, or a key is there twice, and names the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"config {path}: cannot be read ({path.absolute()}: {error.strerror}). Give an existing file with --config; a "
            f"relative path counts from the folder in which the job was started."
        ) from error
    except ValueError as error:  # no UTF-8, or a path that no system has
        raise ConfigError(f"config {str(path)!r}: not valid YAML: {one_line(error)}; expected UTF-8 text.") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Any:
    """The content of a YAML file's text; raises ConfigError as `read_yaml` does."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(loader, node, path)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_message(path, error, "")) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"config {path.absolute()}: not valid YAML: {one_line(error)}. Fix it there.") from error
    finally:
        if loader is not None:
            loader.dispose()


def _syntax_message(path: Path, error: yaml.MarkedYAMLError, keys: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = one_line(", ".join(part for part in (error.problem, error.context) if part))
    return f"config {path.absolute()}{where}: {f'{keys}: ' if keys else ''}not valid YAML: {problem}. Fix it there."


def _check_keys(loader: Any, root: yaml.Node, path: Path) -> None:
    """Raise ConfigError for a key that a mapping has twice, at any depth, and for a value that can't be read, by its keys."""
    pending: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)]
    seen: set[int] = set()
    while pending:
        keys, node = pending.pop()
        if id(node) in seen:
            continue  # an alias
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check_mapping(loader, keys, node, path)
            pending += [((*keys, str(key.value)), value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pending += [((*keys, str(at)), value) for at, value in enumerate(node.value)]
        else:
            _value(loader, keys, node, path)


def _check_mapping(loader: Any, keys: tuple[str, ...], node: yaml.MappingNode, path: Path) -> None:
    lines: dict[Any, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue  # no key for Python: to be said when it is constructed
        name, line = _value(loader, keys, key, path), key.start_mark.line + 1
        if name in lines:
            raise ConfigError(
                f"config {path.absolute()}, line {line}: the key {'.'.join((*keys, str(key.value)))} is there twice, first in "
                f"line {lines[name]}; expected each key once. Remove one, or bring both together."
            )
        lines[name] = line


def _value(loader: Any, keys: tuple[str, ...], node: yaml.Node, path: Path) -> Any:
    if node.tag == MERGE:
        return node.value
    try:
        return loader.construct_object(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_message(path, error, ".".join(keys))) from error
