"""White space of every kind, trimmed and collapsed: of ASCII, of Unicode, and of no width."""

from __future__ import annotations

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.spaces import SPACES, ZERO_WIDTH

AROUND = SPACES + ZERO_WIDTH
# A zero-width space parts words, as any space does. The others join what is around them, and go with the space beside them.
WIDE = SPACES + "\u200b"
JOINING = ZERO_WIDTH.replace("\u200b", "")
RUN = f"[{JOINING}]*+[{WIDE}][{AROUND}]*+"
# Within a word these show nothing and mean nothing; joiner and non-joiner shape letters and emoji, so they stay.
INVISIBLE = "[\u2060\ufeff]++"


def is_plain(text: Column) -> Column:
    """Whether a text is of ASCII alone, and begins and ends with a letter, digit or sign. This is tested fast."""
    last = F.substring(text.cast("binary"), -1, 1)
    return (F.octet_length(text) == F.char_length(text)) & (text >= "!") & (last >= F.lit(b"!"))


def trimmed(text: Column) -> Column:
    """Text without white space around it. To look for all kinds of it takes a microsecond and more."""
    return F.btrim(text, F.lit(AROUND))


def collapsed(text: Column) -> Column:
    """Text without white space around it, and with one space for each run of white space within it."""
    return F.regexp_replace(F.regexp_replace(trimmed(text), RUN, " "), INVISIBLE, "")


def trimmed_text(text: str) -> str:
    """What `trimmed` makes of a text."""
    return text.strip(AROUND)


def collapsed_text(text: str) -> str:
    """What `collapsed` makes of a text."""
    return re.sub(INVISIBLE, "", re.sub(RUN, " ", trimmed_text(text)))
