"""What a CSV record is, as patterns that Python and Java both read.

RFC 4180, https://www.rfc-editor.org/rfc/rfc4180: a field is quoted whole, or has no quote; a quote within quotes is doubled.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class CsvFormat(NamedTuple):
    """How fields are separated. With `escape`, a backslash before a quote, the separator, a line end or a backslash stands for
    that character alone, within quotes and outside; before anything else it is a backslash.
    """

    separator: str
    escape: str | None = None

    @property
    def pattern(self) -> str:
        """The pattern of a record, its last field as a group; outside quotes it holds no line end but an escaped one."""
        return rf"(?:{self._field}{self._separator})*+({self._field})"

    def split(self, record: str) -> list[str] | None:
        """A record's fields; None where it is no RFC 4180 record."""
        if not re.fullmatch(self.pattern, record, re.DOTALL):
            return None
        fields = re.findall(rf"(?:\A|{self._separator})({self._field})", record, re.DOTALL)
        return [self._value(field) for field in fields]

    @property
    def _separator(self) -> str:
        return re.escape(self.separator)

    @property
    def _field(self) -> str:
        # Possessive throughout: Java would else recurse for each repetition, and overflow its stack in a long record.
        stop = rf"{self._separator}\r\n"
        if self.escape:
            return rf'(?:"(?:[^"\\]++|""|\\.)*+"|(?:[^"\\{stop}]++|\\.)*+)'
        return rf'(?:"(?:[^"]++|"")*+"|[^"{stop}]*+)'

    def _value(self, field: str) -> str:
        quoted = field.startswith('"')
        text = field[1:-1] if quoted else field
        escaped = rf'|\\(["\\{self._separator}\r\n])' if self.escape else ""
        return re.sub(rf'"(")(?!\A){escaped}', lambda match: match[match.lastindex or 0], text)
