"""One hash that stands for a whole bundle: that of its manifest, which holds the hash of every other file."""

from __future__ import annotations

import hashlib
from typing import Any

from pipelines.bundles.manifest import MANIFEST, read_manifest
from pipelines.errors import ExternalError
from pipelines.io.filesystem import fetch_folder, read_bytes
from pipelines.temporary import TemporaryFolder


def bundle_hash(uri: str) -> str:
    """The SHA-256 of a bundle's manifest, as 64 hexadecimal digits. Raises ExternalError when there is none."""
    try:
        return hashlib.sha256(read_bytes(f"{uri}/{MANIFEST}")).hexdigest()
    except OSError as error:
        raise ExternalError(
            f"model {uri}: its manifest can't be read ({error}); expected the folder that was registered. Restore it, or "
            f"promote another version: jobs/promote.py --version."
        ) from error


def check_bundle(uri: str, expected: str) -> None:
    """Raise ExternalError when a registered bundle is gone, or another one lies in its folder."""
    if (received := bundle_hash(uri)) != expected:
        raise ExternalError(
            f"model {uri}: its manifest has SHA-256 {received[:12]}…, registered was {expected[:12]}…: the folder has changed "
            f"since. Restore it, or promote another version: jobs/promote.py --version."
        )


def verified_manifest(uri: str) -> dict[str, Any]:
    """A bundle's manifest, once every file of the bundle has the SHA-256 that it names; raises BundleError otherwise."""
    with TemporaryFolder("bundle") as copy:
        return read_manifest(fetch_folder(uri, copy), uri)
