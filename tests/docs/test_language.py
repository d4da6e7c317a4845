"""The pages are in plain English: short sentences, and a page of architecture that can be read at one sitting."""

from __future__ import annotations

import re
from statistics import mean

import pytest

from tests.docs.prose import sentences, words
from tests.root import ROOT

GENERATED = ("configuration.md",)
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.name not in GENERATED)]
LONGEST, MEAN = 30, 16
PAGE = """\
# A heading is no sentence

**A lead.** Two words. It ends with [a link](page.md#part)! Does `spark-submit jobs/x.py` count?
It goes on: to here; and
here 3.5 times.

- One item
  of a list.
- Another one

Then code:

    code is no sentence. Nor is this.

| a | table. |

```python
code = "no. sentence"
```
"""


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_sentences_are_short(page: str) -> None:
    by_length = {sentence: words(sentence) for sentence in sentences((ROOT / page).read_text(encoding="utf-8"))}
    too_long = [f"{length} words: {sentence}" for sentence, length in by_length.items() if length > LONGEST]
    assert not too_long, "\n".join(too_long)
    assert mean(by_length.values()) <= MEAN, f"{page}: {mean(by_length.values()):.1f} words a sentence"


def test_sentences_are_those_of_paragraphs_and_list_items() -> None:
    counts = [(sentence, words(sentence)) for sentence in sentences(PAGE)]
    assert counts == [
        ("Two words.", 2),
        ("It ends with a link!", 5),
        ("Does `spark-submit jobs/x.py` count?", 4),
        ("It goes on: to here; and here 3.5 times.", 9),
        ("One item of a list.", 5),
        ("Another one", 2),
        ("Then code:", 2),
    ]


def test_the_page_of_architecture_is_short_and_has_no_measurements() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 200
    assert not re.findall(r"\d (?:seconds|minutes|ms|MiB|MB|GB|rows a second|times)\b", page)
