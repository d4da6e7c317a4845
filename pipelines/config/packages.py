"""The packages whose code a configuration may run: whatever it names by `module:name` lies in one of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

Package = Annotated[
    str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", description="package such as my_stages or my.stages")
]
OWN = ("schemas", "pipelines.stages")
OF_RINGMILL = ("schemas", "pipelines", "jobs")


def packages_with(contracts: str) -> tuple[str, ...]:
    """The packages of a configuration that declares none: ringmill's own, and the one that its contracts lie in.

    Modules of Python's standard library are never added, nor ringmill's other ones.
    """
    root = contracts.partition(".")[0]
    return OWN if root in OF_RINGMILL or root in sys.stdlib_module_names else (*OWN, root)


def check_declared(path: str, key: str, packages: Sequence[str]) -> None:
    """Raise ValueError, naming the key, when a dotted path, with or without `:name`, lies in none of the packages.

    A text that is no dotted path passes: nothing is ever loaded by it.
    """
    module = path.partition(":")[0]
    if not all(part.isidentifier() for part in module.split(".")):
        return
    if not any(f"{module}.".startswith(f"{package}.") for package in packages):
        raise ValueError(
            f"{key}: {module} is in no package whose code this configuration may run; expected a module of "
            f"{', '.join(packages)}. Move it there, or add its package to `packages` if you trust its code"
        )
