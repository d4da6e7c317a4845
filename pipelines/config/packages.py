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


def check_declared(path: str, key: str, packages: Sequence[str] | None) -> None:
    """Raise ValueError, naming the key, when a dotted path, with or without `:name`, lies in none of the packages.

    Where a configuration declares none, modules of its own run, but neither Python's standard library nor ringmill's other
    modules. A text that is no dotted path passes: nothing is ever loaded by it.
    """
    module = path.partition(":")[0]
    if not all(part.isidentifier() for part in module.split(".")):
        return
    if packages is None:
        root = module.partition(".")[0]
        if root not in OF_RINGMILL and root not in sys.stdlib_module_names:
            return
    allowed = OWN if packages is None else packages
    if not any(f"{module}.".startswith(f"{package}.") for package in allowed):
        raise ValueError(
            f"{key}: {module} is in no package whose code this configuration may run; expected a module of "
            f"{', '.join(allowed)}{' or of your own' if packages is None else ''}. Move it there, or add its package to "
            f"`packages` if you trust its code"
        )
