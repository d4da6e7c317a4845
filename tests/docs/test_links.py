"""Links between the pages lead to files and headings that are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.prose import anchors, links
from tests.root import ROOT

FILE = re.compile(
    r"(?<![\w/.])(?:benchmarks|conf|dags|runtime|steps|io|jobs|launch|pipelines|schemas|setup|tests|training)/[\w/]+\.(?:py|sh|txt|yaml)\b"
)
PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in links(path.read_text(encoding="utf-8")):
        file, _, fragment = target.partition("#")
        if "://" in file:
            continue
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{page}: no file {target}"
        if fragment:
            assert fragment in anchors(linked.read_text(encoding="utf-8")), f"{page}: no heading {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/extending.md"])  # which makes files of its own
def test_files_that_a_page_names_exist(page: str) -> None:
    named = FILE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "pipelines" / name).exists()] == []


def test_every_page_is_linked_from_the_readme_or_a_page_that_it_links() -> None:
    reached: set[str] = set()
    waiting = ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = [target.partition("#")[0] for target in links((ROOT / page).read_text(encoding="utf-8"))]
        linked = [(ROOT / page).parent.joinpath(target).resolve() for target in targets if target.endswith(".md")]
        names = [str(path.relative_to(ROOT.resolve())) for path in linked if path.exists()]
        waiting += [name for name in names if name not in reached]
    assert {page for page in PAGES if page.startswith("docs/")} <= reached


def test_anchors_are_as_github_makes_them() -> None:
    page = "# Back up, and restore\n\n```\n# no heading\n```\n\n## `train.ranks` and [a link](x.md)\n"
    assert anchors(page) == {"back-up-and-restore", "trainranks-and-a-link"}
