"""Python's calls into Java, without looking the same names up again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JVMView


def remember_lookups() -> None:
    """Have py4j remember Java's classes and static methods by name, for this process.

    For each function of a Column expression PySpark asks Java for the class `functions`, then for its method, and then calls
    it: two of these three round trips ask what was answered before. A plan of some thousand expressions takes half the time.
    """
    _remember(JVMView, JavaClass)
    _remember(JavaClass, JavaMember)


def _remember(owner: type[Any], kind: type[Any]) -> None:
    """Keep attributes of a kind where Python finds them before it asks for them."""
    look_up: Callable[[Any, str], Any] = owner.__getattr__
    if getattr(look_up, "remembers", False):
        return

    def look_up_once(self: Any, name: str) -> Any:
        value = look_up(self, name)
        if type(value) is kind:
            self.__dict__[name] = value
        return value

    look_up_once.remembers = True  # type: ignore[attr-defined]
    owner.__getattr__ = look_up_once
