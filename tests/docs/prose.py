"""The sentences, headings and links of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
ITEM = re.compile(r"^\s{0,3}(?:[-*]|\d+\.) +")
TABLE = re.compile(r"^\s*\|")
LEAD = re.compile(r"^\*\*[^*]+[.:]\*\* *")
"""A paragraph's lead in bold is a heading of its own: short, so it would lower the mean."""
END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*`\[]*[A-Z0-9`_])")
WORD = re.compile(r"\w")


def sentences(page: str) -> Iterator[str]:
    """The sentences of paragraphs and list items; code blocks, tables, headings and pictures are left out."""
    for paragraph in _paragraphs(FENCE.sub("\n\n", page)):
        text = LEAD.sub("", LINK.sub(r"\1", paragraph.replace("![", "[")))
        for sentence in END.split(text):
            if WORD.search(sentence):
                yield sentence.strip()


def words(sentence: str) -> int:
    """How many words a sentence has; signs alone are none."""
    return sum(WORD.search(word) is not None for word in sentence.split())


def anchors(page: str) -> set[str]:
    """The fragments by which links lead to a page's headings, as GitHub makes them."""
    headings = (LINK.sub(r"\1", heading) for heading in HEADING.findall(FENCE.sub("", page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """The targets of a page's links."""
    return [target for _, target in LINK.findall(FENCE.sub("", page))]


def _paragraphs(page: str) -> Iterator[str]:
    """Paragraphs and list items, each in one line."""
    lines: list[str] = []
    in_list = False
    for line in [*page.splitlines(), ""]:
        is_item = ITEM.match(line) is not None
        aside = not line.strip() or TABLE.match(line) or line.startswith("#") or (line.startswith("    ") and not in_list)
        if (aside or is_item) and lines:
            yield " ".join(lines)
            lines = []
        if aside:
            in_list = in_list and not line.strip()
            continue
        in_list = is_item or (in_list and line.startswith(" "))
        lines.append(ITEM.sub("", line).strip())
