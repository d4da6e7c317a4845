"""What models and contracts say of themselves: each field with its type, default and meaning."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union

from pydantic import BaseModel

from pipelines.config import WHOLE, SourceSection
from pipelines.io.sources.kinds import KINDS
from setup.type_words import choices, written

STANDS_FOR = {SourceSection: tuple(KINDS.values())}
"""Models whose keys are those of others, which are known by a key of theirs alone."""
REQUIRED = object()


class MissingMeaningError(LookupError):
    """Raised when a field has no meaning; write it as a string on the line below the field."""


class Documented(NamedTuple):
    """One field: the name that is written for it, its type annotation, its default (or REQUIRED), and its meaning."""

    name: str
    hint: Any
    default: Any
    meaning: str


class Tag(NamedTuple):
    """The key and value by which a model is recognized among others, or a key alone (value None); and the value that counts
    where the key is not written, None where it has to be.
    """

    key: str
    value: Any
    default: Any


class Targets(NamedTuple):
    """The models that a type annotation leads to, and whether each is under a name of its own."""

    models: tuple[type, ...]
    named: bool


def fields_of(declared: type) -> Iterator[Documented]:
    """The fields of a Pydantic model or a dataclass, in order; raises MissingMeaningError for one without a meaning."""
    hints = typing.get_type_hints(declared, include_extras=True)
    if issubclass(declared, BaseModel):
        for name, info in sorted(declared.model_fields.items(), key=lambda item: _distance(declared, item[0])):
            default = REQUIRED if info.is_required() else info.get_default(call_default_factory=True)
            yield Documented(info.alias or name, hints[name], default, meaning_of(declared, name))
    elif is_dataclass(declared):
        for field in fields(declared):
            produced = REQUIRED if field.default_factory is MISSING else field.default_factory()
            default = produced if field.default is MISSING else field.default
            yield Documented(field.name, hints[field.name], default, meaning_of(declared, field.name))


def _distance(declared: type, field: str) -> int:
    """How far up the class is that declares a field: a section's own keys come before those that it shares."""
    return next(number for number, owner in enumerate(declared.__mro__) if field in vars(owner).get("__annotations__", {}))


def meaning_of(declared: type, field: str) -> str:
    """The string below a field, in the class or in one that it inherits from."""
    for owner in declared.__mro__:
        if meaning := _strings(owner.__module__).get((owner.__name__, field)):
            return meaning
    raise MissingMeaningError(
        f"{declared.__module__}.{declared.__name__}.{field} has no meaning; expected a string on the line below the field. "
        f"Say there in a sentence or two what it does, with units."
    )


def purpose_of(declared: type) -> str:
    """A class's docstring, in one line a paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(declared) or "").split("\n\n"))


def targets_of(hint: Any) -> Targets:
    """The models or dataclasses that a type annotation leads to."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return targets_of(arguments[0])
    if origin in (Union, UnionType):
        return Targets(tuple(model for each in arguments for model in targets_of(each).models), named=False)
    if origin is dict:
        return Targets(targets_of(arguments[1]).models, named=True)
    if origin is tuple:
        return Targets(tuple(model for each in arguments for model in targets_of(each).models), named=False)
    is_declared = isinstance(hint, type) and hint is not NoneType and (issubclass(hint, BaseModel) or is_dataclass(hint))
    return Targets(STANDS_FOR.get(hint, (hint,)) if is_declared else (), named=False)


def tag_of(declared: type, *, required: bool) -> Tag:
    """The tag of a model among the others that may stand in its place: its first key that has a single choice, or else its
    first key alone. `required` says that the key has to be written, also where the model has a default for it.
    """
    documented = list(fields_of(declared))
    for field in documented:
        if len(values := choices(field.hint)) == 1:
            return Tag(field.name, values[0], None if required or field.default is REQUIRED else field.default)
    return Tag(documented[0].name, None, None)


def needs_tag(hint: Any) -> bool:
    """Whether Pydantic chooses among the models of a type by a key that has to be written."""
    chosen_by = [getattr(each, "discriminator", None) for each in getattr(hint, "__metadata__", ())]
    return any(isinstance(key, str) for key in chosen_by) or any(map(needs_tag, typing.get_args(hint)))


def default_in_words(field: Documented) -> str:
    """A field's default as a table shows it."""
    default = field.default
    if default is REQUIRED or default == WHOLE:
        return "required" if default is REQUIRED else "all data"
    if isinstance(default, timedelta):
        return f"`{int(default.total_seconds())}s`"
    if isinstance(default, BaseModel):
        given = default.model_dump(mode="json", exclude_unset=True, by_alias=True)
        if len(targets_of(field.hint).models) > 1:
            tag = tag_of(type(default), required=True)
            given = {tag.key: tag.value}
        return f"`{written(given)}`" if given else "its own defaults"
    if isinstance(default, str) and default:
        return f"`{default}`"
    return f"`{written(list(default) if isinstance(default, tuple) else default)}`"


@cache
def _strings(module: str) -> dict[tuple[str, str], str]:
    """The string below each field of a module's classes, in one line."""
    if module not in sys.modules or module == "builtins":
        return {}
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # a module without source, such as one in C
        return {}
    strings: dict[tuple[str, str], str] = {}
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for field, below in zip(owner.body, owner.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    strings[owner.name, name] = " ".join(text.split())
    return strings
