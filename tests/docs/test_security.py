"""docs/security.md names tests that there are."""

from __future__ import annotations

import re

from tests.root import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_each_test_that_the_page_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
    assert [path for path in re.findall(r"tests/[\w/]+\.py", PAGE) if not (ROOT / path).exists()] == []


def test_each_row_of_a_table_is_whole() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
