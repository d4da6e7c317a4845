"""How dates and times are written: Spark's pattern letters, checked without Spark."""

from __future__ import annotations

import re

EXAMPLE = "such as yyyy-MM-dd HH:mm:ss"
# The counts of each letter that Spark reads (its "Datetime patterns"; a letter that it only writes is not among them).
COUNTS: dict[str, tuple[int, ...]] = {
    **{letter: tuple(range(1, 5)) for letter in "GMLz"},
    **dict.fromkeys("dhHkKms", (1, 2)),
    **{letter: tuple(range(1, 6)) for letter in "xXZ"},
    "y": tuple(range(1, 11)),
    "D": (1, 2, 3),
    "S": tuple(range(1, 10)),
    "a": (1,),
    "V": (2,),
    "O": (1, 4),
}
MEANT = {"Y": "yyyy is the year", "u": "yyyy is the year", "n": "SSS are fractions of seconds", "E": "days have no names here"}


def format_problem(written: str) -> str | None:
    """What is wrong with a format by which text is read as a date or a time; None when nothing is.

    Besides what Spark refuses, a format is wrong by which Spark would read other values than those that are written: a year and
    a day without a month (mm are minutes), a day of the year beside a month, an hour of twelve without its half of the day.
    """
    if re.search(r"%[A-Za-z]", written):
        return f"is written in Python's letters; expected Spark's, {EXAMPLE}"
    plain = re.sub(r"'[^']*'", " ", written)
    if "'" in plain:
        return "has a quote that is not closed; expected two quotes around text"
    if reserved := re.search(r"[{}#]", plain):
        return f"has the reserved {reserved[0]}; expected letters, and other text in single quotes"
    if _closes_too_often(plain):
        return "closes a bracket that is not open; expected [ before ]"
    for run in re.finditer(r"([A-Za-z])\1*", plain):
        if problem := _letter_problem(run[1], len(run[0])):
            return problem
    return _meaning_problem(set(plain))


def _closes_too_often(plain: str) -> bool:
    depth = 0
    for letter in plain:
        depth += (letter == "[") - (letter == "]")
        if depth < 0:
            return True
    return False


def _letter_problem(letter: str, count: int) -> str | None:
    if letter not in COUNTS:
        hint = f" ({MEANT[letter]})" if letter in MEANT else ""
        return f"has the letter {letter}{hint}; expected letters of {', '.join(sorted(COUNTS, key=str.lower))}, {EXAMPLE}"
    if count not in COUNTS[letter]:
        return f"has {letter} {count} times; expected {' or '.join(map(str, COUNTS[letter]))}"
    return None


def _meaning_problem(letters: set[str]) -> str | None:
    if {"y", "d"} <= letters and not letters & {"M", "L"}:
        return f"has a year and a day, and no month; expected MM for it (mm are minutes), {EXAMPLE}"
    if "D" in letters and letters & {"M", "L", "d"}:
        return "has a day of the year (D) beside a month or a day; expected dd for the day of the month"
    if letters & {"h", "K"} and "a" not in letters:
        return "has an hour of twelve (hh or KK) without a; expected HH, the hour of the day, or a for AM and PM"
    return None
