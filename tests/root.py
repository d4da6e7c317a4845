"""The project's root folder, for modules that jobs import, too: they need nothing of pytest."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
