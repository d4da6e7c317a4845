"""CSV by lines and by records that span them checks the same: text, quotes, marks, headers, numbers of fields."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import DataError
from pipelines.io.sources.csv_files import CsvFiles
from tests.pipelines.io.sources.test_csv_files import CONTRACT, YEAR, Write, read, values

BOTH = pytest.mark.parametrize("multiline", [False, True])
LINES = (
    b"\xef\xbb\xbfid,name\r\n"
    b'1,"a ""b"", c"\n'
    b"2,caf\xc3\xa9\n"
    b"3,caf\xe9\n"
    b"4,a\0b\n"
    b'5,a"b"c\n'
    b'6,"a"b\n'
    b'"7" ,a\n'
    b"8,a,\n"
    b"9\n"
    b"\xef\xbb\xbfid,name\r\n"
    b"\xef\xbb\xbf10,d\n"
    b"   \n"
    b"id,name\n"
    b"11," + b"," * 30_000 + b"\n"
    b"12,e"
)  # fmt: skip
REASONS = {
    "3": "expected UTF-8 text",
    "4": "received a NUL byte",
    "5": "quotes around whole fields and doubled within, as RFC 4180",
    "6": "quotes around whole fields",
    '"7" ': "quotes around whole fields",
    "8": "expected 2 fields, received another number; it ends with a separator",
    "9": "expected 2 fields, received another number",
    "11": "expected 2 fields, received another number",
}


@BOTH
def test_whatever_is_no_row_is_kept_with_its_reason(spark: SparkSession, tmp_path: Path, multiline: bool) -> None:
    (tmp_path / "a.csv").write_bytes(LINES)
    rows = read(spark, str(tmp_path / "a.csv"), multiline=multiline)
    assert values([row for row in rows if row.broken_why is None]) == [
        ("1", 'a "b", c'), ("2", "café"), ("10", "d"), ("12", "e")
    ]  # fmt: skip
    broken = [row for row in rows if row.broken_why]
    assert broken[0].broken_line == "\\x332C636166E9"
    keys = ["3", *(row.broken_line.split(",")[0] for row in broken[1:])]
    assert {key: REASONS[key] in row.broken_why for key, row in zip(keys, broken, strict=True)} == dict.fromkeys(REASONS, True)
    assert len({(row.source_block, row.source_row) for row in rows}) == len(rows)


def test_line_ends_within_quotes_stay_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,name\r\n1,"a\r\nb"\r\nid,name\r\n2,"c\nd\re"\r\n3,"open\n4,f')
    rows = read(spark, str(tmp_path / "a.csv"), multiline=True)
    assert values(rows[:2]) == [("1", "a\r\nb"), ("2", "c\nd\re")]
    assert [(row.broken_line, row.broken_why) for row in rows[2:]] == [
        ('3,"open\n4,f', "line: expected quotes in pairs, received an odd number")
    ]


@BOTH
@pytest.mark.parametrize(
    ("encoding", "codec", "text"),
    [
        ("windows-1252", "cp1252", "café €Ÿ"),
        ("iso-8859-1", "latin-1", "café ÿ"),
        ("utf-16", "utf-16", "café €\u0a0d 😀"),
        ("utf-16", "utf-16-be", "café €\u0a0d 😀"),
    ],
)  # fmt: skip
def test_encodings_in_both_modes(
    spark: SparkSession, tmp_path: Path, multiline: bool, encoding: str, codec: str, text: str
) -> None:
    mark = "\ufeff" if codec == "utf-16-be" else ""
    (tmp_path / "a.csv").write_bytes(f'{mark}name,id\n{text},1\n"{text}",2\n'.encode(codec))
    rows = read(spark, str(tmp_path / "a.csv"), encoding=encoding, multiline=multiline)
    assert sorted(values(rows)) == [("1", text), ("2", text)]


def test_utf16_without_a_mark_is_exit_3(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id,name\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a\.csv begins with no byte-order mark; expected one, since .*encoding is utf-16"):
        read(spark, str(tmp_path / "a.csv"), encoding="utf-16")


def test_old_line_ends_in_records_that_span_lines(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,name\r1,"a\rb"\r2,c\r')
    assert values(read(spark, str(tmp_path / "a.csv"), multiline=True)) == [("1", "a\rb"), ("2", "c")]


@BOTH
def test_backslash_escapes_are_declared(spark: SparkSession, write: Write, multiline: bool) -> None:
    lines = r'''id,name
1,"a \"b\""
2,"ends with \\"
3,a\,b
4,C:\new
5,\N
6,"a""b"
7,"a\b\"
8,"a\"b
'''  # fmt: skip
    path = write("a.csv", lines if multiline else lines.replace('8,"a\\"b\n', ""))
    rows = read(spark, path, escape="\\", multiline=multiline)
    assert values(rows[:6]) == [
        ("1", 'a "b"'), ("2", "ends with \\"), ("3", "a,b"), ("4", "C:\\new"), ("5", "\\N"), ("6", 'a"b')
    ]  # fmt: skip
    assert {row.broken_why is None for row in rows[6:]} == {False}


def test_a_separator_at_the_end_of_lines_is_understood(spark: SparkSession, write: Write) -> None:
    rows = read(spark, write("a.csv", "id,name,\n1,a,\n2,b,x\n3,c\n"))
    assert values(rows[:1]) == [("1", "a")]
    assert rows[1].broken_why == "line: expected nothing after the last separator, as in the header, received a value"
    assert "expected 3 fields" in rows[2].broken_why


def test_a_column_without_a_name_is_named(spark: SparkSession, write: Write) -> None:
    with pytest.raises(DataError, match="missing none, unknown a column without a name, repeated none"):
        read(spark, write("a.csv", ",id,name\n0,1,a\n"))


@pytest.mark.parametrize("name", ["12:30 a%20b#c?d=1[2]{x}*é\\.csv", "2013-01-01T00:00:00.csv", "a+b,c;d&e.csv"])
def test_a_file_has_any_name(spark: SparkSession, write: Write, name: str) -> None:
    path = write(name, "id,name\n1,a\n")
    for path_or_pattern in (path, str(Path(path).parent), f"{Path(path).parent}/*"):
        rows = read(spark, path_or_pattern)
        assert (values(rows), rows[0].source_file) == ([("1", "a")], f"file:{path}")
    assert values(read(spark, path, multiline=True)) == [("1", "a")]


@pytest.mark.parametrize("separator", ['"', "\n", "\\", "\0"])
def test_what_cannot_separate_is_refused(separator: str) -> None:
    settings: Any = {"kind": "csv", "path": "a.csv", "separator": separator}
    with pytest.raises(ValueError, match="expected a character that is no quote"):
        CsvFiles(**settings)


def test_folders_give_columns(spark: SparkSession, tmp_path: Path) -> None:
    for folder, content in {
        "name=a%2Fb+c": "id\n1\n",
        "name=__HIVE_DEFAULT_PARTITION__": "id\n2\n",
        "name=x": "id,name\n3,y\n",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(content)
    assert sorted(values(CsvFiles(kind="csv", path=str(tmp_path)).read(spark, CONTRACT, YEAR).collect())) == [
        ("1", "a/b+c"), ("2", None), ("3", "y")
    ]  # fmt: skip
