"""Texts cut into words, the same as the served model cuts them."""

from __future__ import annotations

import re

# What stands between the words of a text: control characters, spaces and punctuation but for the apostrophe. As a list, so
# that every engine's regular expressions agree on it.
BETWEEN_WORDS = (
    r"\x00-\x20!-&(-/:-@\[-`{-\x7f\x{80}-\x{a0}\x{a1}\x{a7}\x{ab}\x{b6}\x{b7}\x{bb}\x{bf}"
    r"\x{2000}-\x{2018}\x{201a}-\x{206f}\x{3000}-\x{3003}\x{3008}-\x{3011}\x{ff01}\x{ff0c}\x{ff1a}\x{ff1b}\x{ff1f}"
)
_PYTHON = re.sub(r"\\x\{([0-9a-f]+)\}", lambda code: f"\\u{int(code[1], 16):04x}", BETWEEN_WORDS)
WORDS = re.compile(f"[^{_PYTHON}]+")


def before_nul(text: str) -> str:
    """A text up to its first NUL, which ends a string elsewhere."""
    return text.partition("\0")[0]


def words_of(text: str | None) -> list[str]:
    """The words of a text in lower case; none where it is missing."""
    return WORDS.findall(before_nul(text or "").lower())
