"""Python's calls into Java, without looking the same names up again and again."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JavaPackage, JVMView

# A view of Java may import a class under any other name later on; no class is ever called so.
TOP_LEVEL_PACKAGES = frozenset({"com", "java", "javax", "org", "py4j", "scala"})


def remember_lookups() -> None:
    """Have py4j remember Java's classes and static methods by name, for this process.

    For each function of a Column expression PySpark asks Java for the class `functions`, then for its method, and then calls
    it: two of these three round trips ask what was answered before. A plan of some thousand expressions takes half the time.
    Of `org.apache.spark` it asks three times whether that is a class, and Java looks through hundreds of jars to say no.
    """
    _remember(JVMView, JavaClass)
    _remember(JVMView, JavaPackage, TOP_LEVEL_PACKAGES)
    _remember(JavaPackage, JavaPackage)
    _remember(JavaPackage, JavaClass)
    _remember(JavaClass, JavaMember)


def _remember(owner: type[Any], kind: type[Any], names: Container[str] | None = None) -> None:
    """Keep attributes of a kind, of some names or of any, where Python finds them before it asks for them."""
    look_up: Callable[[Any, str], Any] = owner.__getattr__
    remembered: set[type[Any]] = getattr(look_up, "remembered", set())
    if kind in remembered:
        return

    def look_up_once(self: Any, name: str) -> Any:
        value = look_up(self, name)
        if type(value) is kind and (names is None or name in names):
            self.__dict__[name] = value
        return value

    look_up_once.remembered = remembered | {kind}  # type: ignore[attr-defined]
    owner.__getattr__ = look_up_once
