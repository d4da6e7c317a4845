"""Truth values and numbers apart: to Python, and so to Pydantic, `true` is the number 1, and 1 is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import CoreSchema, PydanticKnownError, core_schema

NOT_WALKED = ("metadata", "serialization", "default")


def apart(schema: Any) -> Any:
    """A core schema of Pydantic's whose numbers, at any depth, are no truth values, and whose truth values are no numbers.

    Pydantic's strict mode would refuse more: numbers in text, as PyYAML reads 1e-3, and dates.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(apart, schema))
    if not isinstance(schema, Mapping):
        return schema
    walked = {key: value if key in NOT_WALKED else apart(value) for key, value in schema.items()}
    kind = walked.get("type")
    check = CHECKS.get(kind) if isinstance(kind, str) else None
    if kind == "literal" and any(isinstance(choice, int) for choice in walked["expected"]):
        check = _one_of(walked["expected"])
    return core_schema.no_info_before_validator_function(check, _as_schema(walked)) if check else walked


def _as_schema(walked: dict[str, Any]) -> CoreSchema:
    schema: Any = walked
    return schema  # type: ignore[no-any-return]


def _no_truth(kind: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticKnownError(kind)
        return value

    return check


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


def _one_of(expected: Sequence[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, bool) and not any(value is choice for choice in expected):
            raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, expected))})
        return value

    return check


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "int": _no_truth("int_type"),
    "float": _no_truth("float_type"),
    "bool": _no_number,
}
