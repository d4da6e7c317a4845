"""Regular expressions as Java, and so Spark, reads them: what is wrong with one, as far as that is known without Java.

Whatever is refused here, Java refuses too; what Java alone knows (the names of properties and characters) is left to it.
"""

from __future__ import annotations

import re

HEX = "[0-9a-fA-F]"
GREATEST_CHARACTER = 0x10FFFF
MOST_REPEATS = 2**31 - 1
CLASSES = "dDhHsSvVwWpP"
IN_CLASS = frozenset("tnrfaecxu0NQ" + CLASSES)
OUTSIDE = IN_CLASS | frozenset("bBAGzZRXk123456789")
FLAGS = "idmsuxU"


class _WrongPatternError(ValueError):
    """Raised where Java would refuse a pattern."""


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a regular expression of Java's; None when nothing is known to be."""
    if re.search(rf"\(\?[{FLAGS}]*x", pattern):
        return None  # spaces and comments mean nothing from there on: left to Java
    try:
        _Pattern(pattern).check()
    except _WrongPatternError as error:
        return str(error)
    return None


class _Pattern:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._names: set[str] = set()

    def check(self) -> None:
        """Go through the pattern once; raises _WrongPatternError at what Java refuses."""
        depth, repeatable = 0, False
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter in "*+?{":
                self._repeat(letter, repeatable)
                repeatable = letter == "{"
                continue
            repeatable = letter not in "(|"
            if letter == "(":
                depth += self._open()
            elif letter == "[":
                self._class()
            elif letter == "\\":
                self._escape(OUTSIDE)
            else:
                depth -= letter == ")"
                self._at += 1
            if depth < 0:
                self._fail("has a ) without a (")
        if depth:
            self._fail("has a ( that is not closed")

    def _fail(self, problem: str) -> None:
        raise _WrongPatternError(f"{problem}; expected a regular expression as Java has it")

    def _repeat(self, letter: str, repeatable: bool) -> None:
        if not repeatable:
            self._fail(f"has a {letter} that repeats nothing")
        if letter == "{":
            counts = re.compile(r"\{(\d+)(?:,(\d*))?\}", re.ASCII).match(self._text, self._at)
            if not counts:
                self._fail("has a { that begins no count such as {2} or {2,3}; write \\{ for the character")
            assert counts
            low, high = int(counts[1][:11]), int((counts[2] or counts[1])[:11])
            if low > MOST_REPEATS or high > MOST_REPEATS or (counts[2] and low > high):
                self._fail(f"has the count {counts[0]}")
            self._at = counts.end()
        else:
            self._at += 1
        if self._text[self._at : self._at + 1] in ("+", "?"):
            self._at += 1

    def _open(self) -> bool:
        """Past what opens a group; whether it has to be closed."""
        if not self._text.startswith("(?", self._at):
            self._at += 1
            return True
        if re.match(r"[:=!>]|<[=!]", self._text[self._at + 2 :]):
            self._at += 3 if self._text[self._at + 2] != "<" else 4
            return True
        if named := re.match(r"<([A-Za-z][A-Za-z0-9]*)>", self._text[self._at + 2 :]):
            if named[1] in self._names:
                self._fail(f"has two groups of the name {named[1]}")
            self._names.add(named[1])
            self._at += 2 + named.end()
            return True
        if flags := re.match(rf"[{FLAGS}]*(?:-[{FLAGS}]*)?([:)])", self._text[self._at + 2 :]):
            self._at += 2 + flags.end()
            return flags[1] == ":"
        begin = self._text[self._at : self._at + 4]
        hint = " (Java names a group by (?<name>…), of letters and digits)" if begin[2:3] in ("P", "<") else ""
        raise _WrongPatternError(f"has the group {begin}…{hint}; expected a regular expression as Java has it")

    def _escape(self, known: frozenset[str]) -> int | None:
        """Past an escaped character, whose number is given; None for what stands for several."""
        escaped = self._text[self._at + 1 : self._at + 2]
        if not escaped:
            self._fail("ends in a backslash")
        if escaped.isascii() and escaped.isalnum() and escaped not in known:
            self._fail(f"has the escape \\{escaped}")
        if escaped == "Q":
            end = self._text.find("\\E", self._at + 2)
            self._at = len(self._text) if end < 0 else end + 2
            return None
        forms = {
            "x": rf"x(?:{HEX}{{2}}|\{{{HEX}+\}})", "u": rf"u{HEX}{{4}}", "0": "0[0-7]", "c": r"c(?s:.)", "N": r"N\{[^}]*\}",
            "b": r"b(?:\{g\})?",
            "p": r"[pP](?:\{[^}]*\}|[A-Za-z])", "k": r"k<([A-Za-z][A-Za-z0-9]*)>",
        }  # fmt: skip
        form = re.compile(forms.get(escaped.replace("P", "p"), re.escape(escaped))).match(self._text, self._at + 1)
        if not form:
            self._fail(f"has an escape \\{escaped} that is not whole")
        assert form
        if escaped == "k" and form[1] not in self._names:
            self._fail(f"refers to a group {form[1]} that is not there before it")
        self._at = form.end()
        return self._number(escaped, form[0])

    def _number(self, escaped: str, written: str) -> int | None:
        if escaped in "xu":
            number = int(written[1:].strip("{}"), 16)
            if number > GREATEST_CHARACTER:
                self._fail(f"has the character \\{written}")
            return number
        return ord(escaped) if not (escaped.isascii() and escaped.isalnum()) else None

    def _class(self) -> None:
        """Past a character class, and those within it."""
        start = self._at
        self._at += 2 if self._text.startswith("[^", self._at) else 1
        empty = True
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == "]" and not empty:
                self._at += 1
                return
            empty = False
            if letter == "[":
                self._class()
            elif self._text.startswith("&&", self._at):
                self._at += 2
            else:
                self._range()
        raise _WrongPatternError(f"has a [ that is not closed, at {start}; expected a regular expression as Java has it")

    def _range(self) -> None:
        """Past one character of a class, or a range of them."""
        low = self._one()
        if self._text[self._at : self._at + 1] != "-" or self._text[self._at + 1 : self._at + 2] in ("", "]", "["):
            return
        if low is None or self._text.startswith("-&&", self._at):
            return  # a hyphen after a class of characters is one; the rest is left to Java
        self._at += 1
        escaped = self._text[self._at : self._at + 2]
        high = self._one()
        if (escaped[0] == "\\" and escaped[1:] in CLASSES) or (high is not None and high < low):
            self._fail("has a range of characters that does not ascend")

    def _one(self) -> int | None:
        if self._text[self._at] == "\\":
            return self._escape(IN_CLASS)
        self._at += 1
        return ord(self._text[self._at - 1])
