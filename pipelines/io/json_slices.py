"""Parts of a JSON text as they are written there: numbers keep their digits, objects a name that occurs twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()


def find(value: Any, path: str) -> Any:
    """The value at a dotted path, the whole for an empty one; raises KeyError, naming what is there instead."""
    for name in filter(None, path.split(".")):
        if not isinstance(value, dict):
            raise KeyError(kind(value))
        if name not in value:
            raise KeyError(f"an object of {', '.join(value) or 'no names'}")
        value = value[name]
    return value


def kind(value: Any) -> str:
    """What JSON calls a value."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def elements(text: str, path: str) -> list[str]:
    """The texts of the elements of the array at a path that `find` found in this text, which is JSON."""
    at = _skip(text, 0)
    for name in filter(None, path.split(".")):
        # Of a name that is given twice the last counts, as json.loads has it.
        at = [start for member, start, _ in _children(text, at) if member == name][-1]
    return [text[start:end] for _, start, end in _children(text, at)]


def _children(text: str, at: int) -> Iterator[tuple[str | None, int, int]]:
    """Name (None in an array), start and end of each member of the object or array that begins at a position."""
    in_object = text[at] == "{"
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        name = None
        if in_object:
            name, at = DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # the colon
        end = DECODER.raw_decode(text, at)[1]
        yield name, at, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    assert match
    return match.end()
