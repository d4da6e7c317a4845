"""Records of CSV and JSON files that are read as streams: the same ones, wherever the pieces end."""

import re

import pytest

from pipelines.io.sources import records
from pipelines.io.sources.csv_format import CsvFormat
from pipelines.io.sources.csv_records import cut_records
from pipelines.io.sources.json_arrays import NOT_CLOSED, cut_elements
from pipelines.io.sources.records import TOO_LONG, Cut, Record, cut_lines, cut_transcoded

COMMA = re.compile(CsvFormat(",").pattern.encode(), re.DOTALL)
ESCAPED = re.compile(CsvFormat(",", "\\").pattern.encode(), re.DOTALL)


def texts(cut: Cut, content: bytes) -> list[str]:
    """The records of a content, which are the same ones for pieces of any length."""
    whole = list(cut([content]))
    for length in (2, 3, 5, 7):
        assert list(cut([content[at : at + length] for at in range(0, len(content), length)])) == whole
    return [record.text.decode() for record in whole]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('1,"a\r\nb"\r\n2,c\r3,d\n\n4', ['1,"a\r\nb"', "2,c", "3,d", "", "4"]),
        ('1,"a\n""b""\n"\n2,""\n', ['1,"a\n""b""\n"', '2,""']),
        ('1,a"b"\n2,"c"d,"e\nf"\n3,g\n', ['1,a"b"', '2,"c"d,"e', 'f"', "3,g"]),
        ('1,"a\n2,"b"\n3,c\n', ['1,"a\n2,"b"', "3,c"]),
        ('1,a\n2,"b\n3,c\n', ["1,a", '2,"b\n3,c\n']),
        ('\ufeff"i\nd",n\n1,a\n\ufeff"i\nd",n\n', ['\ufeff"i\nd",n', "1,a", '\ufeff"i\nd",n']),
    ],
)
def test_csv_records_end_where_their_quotes_do(content: str, expected: list[str]) -> None:
    assert texts(lambda pieces: cut_records(pieces, COMMA), content.encode()) == expected


def test_an_escaped_line_end_or_quote_ends_nothing() -> None:
    content = '1,"a\\"\nb"\n2,c\\\nd\n3,"e\\\\"\n4,f\n'
    expected = ['1,"a\\"\nb"', "2,c\\\nd", '3,"e\\\\"', "4,f"]
    assert texts(lambda pieces: cut_records(pieces, ESCAPED), content.encode()) == expected


def test_what_follows_a_record_that_is_too_long_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LIMIT_BYTES", 20)
    pieces = [b'1,a\n2,"', b"x" * 30, b"\n3,b\n", b"4,c\n"]
    expected = [Record(b"1,a"), Record(b'2,"' + b"x" * 30, TOO_LONG), Record(b"\n3,b\n", TOO_LONG), Record(b"4,c\n", TOO_LONG)]
    assert list(cut_records(pieces, COMMA)) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_cut_by_characters(encoding: str) -> None:
    content = "\ufeffid,né\u0a0d\u0d0a\n1,😀".encode(encoding)  # whose bytes hold those of line ends
    assert texts(lambda pieces: cut_transcoded(pieces, cut_lines), content) == ["id,né\u0a0d\u0d0a", "1,😀"]


@pytest.mark.parametrize("tail", [b"\x3d\xd8", b"\x3d"])
def test_half_a_character_of_utf16_is_no_utf8(tail: bytes) -> None:
    lines = list(cut_transcoded([b"\xff\xfea\0" + tail], cut_lines))
    with pytest.raises(UnicodeDecodeError):
        lines[0].text.decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"a":[1,{"b":"],}\\""}]} ,\n{"c":2}]', ['{"a":[1,{"b":"],}\\""}]}', '{"c":2}']),
        ("\ufeff [ ]\n[1]\n", ["1"]),
        ('[{"a":1},,{"b":2},]', ['{"a":1}', ",", '{"b":2}', ","]),
        ('[1]\n{"a":1}\n[{"b":2}]', ["1", '{"a":1}', '{"b":2}']),
    ],
)
def test_elements_of_json_arrays(content: str, expected: list[str]) -> None:
    assert texts(cut_elements, content.encode()) == expected


@pytest.mark.parametrize(("content", "last"), [(b'[{"a":1},{"b"', b'{"b"'), (b'[{"a":1},', b"["), (b'[{"a":1}, "b', b'"b')])
def test_an_array_that_is_not_closed_says_so(content: bytes, last: bytes) -> None:
    assert list(cut_elements([content])) == [Record(b'{"a":1}'), Record(last, NOT_CLOSED)]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('a,"b,""c""",', ["a", 'b,"c"', ""]),
        (",", ["", ""]),
        ('a"b"', None),
        ('"a"b', None),
        ('"a" ,b', None),
        (' "a",b', None),
    ],
)
def test_fields_are_quoted_whole_or_not_at_all(line: str, fields: list[str] | None) -> None:
    assert CsvFormat(",").split(line) == fields


def test_a_backslash_escapes_what_has_a_meaning() -> None:
    line = r'a\,b,"c\"d","e\\",C:\new,\N,\\'
    assert CsvFormat(",", "\\").split(line) == ["a,b", 'c"d', "e\\", "C:\\new", "\\N", "\\"]


def test_a_separator_may_take_several_bytes() -> None:
    assert CsvFormat("§").split('a§"b§c"§,') == ["a", "b§c", ","]
    pattern = re.compile(CsvFormat("§").pattern.encode(), re.DOTALL)
    assert texts(lambda pieces: cut_records(pieces, pattern), '1§"a\n"\n2§§,Â\n'.encode()) == ['1§"a\n"', "2§§,Â"]
