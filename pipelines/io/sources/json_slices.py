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
    """The JSON name of a value's kind, such as an object."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def elements(text: str, path: str) -> list[str]:
    """The texts of the elements of the array at a path where `find` returns an array of this JSON text."""
    position = _skip(text, 0)
    for name in filter(None, path.split(".")):
        # Of a name that is given twice the last counts, as json.loads has it.
        position = [start for member, start, _ in _children(text, position) if member == name][-1]
    return [text[start:end] for _, start, end in _children(text, position)]


def _children(text: str, position: int) -> Iterator[tuple[str | None, int, int]]:
    """Name (None in an array), start and end of each member of the object or array that begins at a position."""
    in_object = text[position] == "{"
    position = _skip(text, position + 1)
    while text[position] not in "]}":
        name = None
        if in_object:
            name, position = DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)  # the colon
        end = DECODER.raw_decode(text, position)[1]
        yield name, position, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    assert match
    return match.end()
