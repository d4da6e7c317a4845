"""What is wrong with a configuration, in words: each key, what was expected there and what was received."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], section: str = "") -> list[str]:
    """One line a problem: its key, what was expected there and what was received."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in (section, *problem["loc"]) if part != "") or "(the whole file)"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(_keys(model, problem["loc"][:-1]))
            expected = f"; expected one of {known}" if known else ""
            lines.append(f"  {where}: unknown key{expected}. Remove it, or mend its spelling.")
        elif isinstance(problem["input"], dict):  # a whole section: the message says what of it is wrong
            lines.append(f"  {where}: {problem['msg']}.")
        else:
            lines.append(f"  {where}: {problem['msg']}; received {problem['input']!r}.")
    return lines


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at a path; none where that is not to be told."""
    found: Any = model
    for part in path:
        found = _within(_bare(found), part)
    found = _bare(found)
    return [field.alias or name for name, field in found.model_fields.items()] if _is_model(found) else []


def _within(annotation: Any, part: int | str) -> Any:
    """The type at one part of a path, which is a key, a place, or which of several types was taken."""
    arguments = get_args(annotation)
    if _is_model(annotation):
        return next((field.annotation for name, field in annotation.model_fields.items() if part in (name, field.alias)), None)
    if get_origin(annotation) is dict:
        return arguments[1]
    if get_origin(annotation) in (Union, UnionType):
        models = [each for each in map(_bare, arguments) if _is_model(each)]
        return next((each for each in models if _is_called(each, part)), None)
    return arguments[0] if arguments else None


def _bare(annotation: Any) -> Any:
    """A type without what is said of it, and without None."""
    arguments = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) is Annotated or (get_origin(annotation) in (Union, UnionType) and len(arguments) == 1):
        return _bare(arguments[0])
    return annotation


def _is_called(model: type[BaseModel], part: int | str) -> bool:
    """Whether a part of a path names a model among others: by its name, or a value that only it has."""
    return part == model.__name__ or any(part in get_args(field.annotation) for field in model.model_fields.values())


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
