"""Which code ran: the released version, and a digest of the source as it is."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pipelines
import schemas


@cache
def code_version() -> str:
    """Version and the first twelve hex digits of the SHA-256 of all Python files of pipelines and schemas.

    A stage that was edited is other code, and its work other work, though the version is the same.
    """
    digest = hashlib.sha256()
    for package in (pipelines, schemas):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return f"{pipelines.__version__}+{digest.hexdigest()[:12]}"
