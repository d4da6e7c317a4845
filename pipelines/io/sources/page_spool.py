"""Pages that were fetched, kept as files until their interval has landed, so that a run that broke off can be gone on from."""

from __future__ import annotations

import hashlib
import json
import posixpath
import time
from dataclasses import asdict, dataclass, field

from pipelines.errors import ExternalError
from pipelines.io.filesystem import delete_folder, idle_folders, read_bytes, write_bytes


@dataclass(frozen=True)
class Page:
    """One page: its number (from 1), its address, its records as JSON texts, where the next one is (None after the last),
    how many records there are in all (None when the source does not say), and when it came (seconds since 1970).
    """

    number: int
    address: str
    records: list[str]
    next: str | None = None
    total: int | None = None
    at: float = field(default_factory=time.time)

    @property
    def digest(self) -> str:
        """SHA-256 of the records; empty when there are none."""
        return hashlib.sha256(json.dumps(self.records).encode()).hexdigest() if self.records else ""


@dataclass(frozen=True)
class Spool:
    """The pages of one source and interval, in a folder of any storage that the driver and the executors reach."""

    folder: str

    def read(self, number: int) -> Page | None:
        """A page that was kept; None when there is none of that number. Raises ExternalError when it can't be read."""
        try:
            return Page(**json.loads(read_bytes(self._path(number))))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("read", error) from error

    def write(self, page: Page) -> None:
        """Keep a page, whole or not at all; raises ExternalError when the folder can't be written to."""
        try:
            write_bytes(self._path(page.number), json.dumps(asdict(page)).encode())
        except OSError as error:
            raise self._error("written", error) from error

    def discard(self) -> None:
        """Remove all pages; raises ExternalError when they can't be."""
        try:
            delete_folder(self.folder)
        except OSError as error:
            raise self._error("removed", error) from error

    def discard_older(self, hours: float) -> None:
        """Remove all pages when the first, which is the oldest, came more than `hours` ago; and spools beside this one, of
        other intervals, to which nothing has been added for that long: no run came back for them.
        """
        first = self.read(1)
        if first is not None and time.time() - first.at > hours * 3600:
            self.discard()
        for folder in idle_folders(posixpath.dirname(self.folder), hours * 3600):
            delete_folder(folder)

    def _path(self, number: int) -> str:
        return f"{self.folder}/page-{number:06}.json"

    def _error(self, done: str, error: OSError) -> ExternalError:
        return ExternalError(f"spool {self.folder}: can't be {done} ({error}). Fix its rights, or remove the folder.")
