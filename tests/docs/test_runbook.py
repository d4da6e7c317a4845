"""docs/runbook.md has every error and exit code, and commands, options and columns that exist."""

from __future__ import annotations

import inspect
import re
import shlex
import sqlite3
from contextlib import closing

import pytest

from pipelines import errors
from pipelines.errors import RingmillError
from pipelines.runtime.command_line import PURPOSES, parser_of
from schemas import tables
from schemas.contract import Table
from tests.docs.prose import anchors
from tests.root import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ERRORS = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, RingmillError)}
JOB = re.compile(r"(?:spark-submit|python) jobs/(\w+)\.py([^`\n#;|>]*)")
QUERY = re.compile(r"""make sql ARGS="-e '([^']+)'\"""")
JOBS = [(job, shlex.split(arguments)) for page in (RUNBOOK, OPERATIONS) for job, arguments in JOB.findall(page)]
QUERIES = [query.replace('\\"', '"') for page in (RUNBOOK, OPERATIONS) for query in QUERY.findall(page)]


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_a_section_that_says_when_what_to_look_at_and_what_to_do(name: str) -> None:
    assert name.lower() in anchors(RUNBOOK)
    section = RUNBOOK.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert [lead in section for lead in ("**When.**", "**Look at**", "**Do")] == [True] * 3


@pytest.mark.parametrize("name", ERRORS)
def test_an_errors_docstring_says_when_it_is_raised_and_what_to_look_at(name: str) -> None:
    text = ERRORS[name].__doc__ or ""
    assert text.startswith("Raised ")
    assert "Look " in text
    assert len(re.findall(r"\.\s", f"{text} ")) >= 2


def test_every_exit_code_has_a_row() -> None:
    table = RUNBOOK.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    codes = {kind.exit_code for kind in ERRORS.values()} | {0, 130, 143}
    assert {int(code) for code in re.findall(r"^\| (\d+)", table, re.MULTILINE)} >= codes


def test_jobs_that_the_pages_start_take_the_options_that_they_show() -> None:
    assert len(JOBS) > 20
    for job, arguments in JOBS:
        assert job in PURPOSES
        shown = [argument for argument in arguments if argument not in ("…", "--help")]
        parser_of(job).parse_args(shown if "--config" in shown else ["--config", "conf/flights.yaml", *shown])


def test_columns_that_the_pages_query_exist() -> None:
    assert len(QUERIES) > 10
    with closing(sqlite3.connect(":memory:")) as database:  # the queries are plain SQL, which it reads as Spark does
        for table in (table for table in vars(tables).values() if isinstance(table, Table)):
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            database.execute(f"create table {table.name} ({columns})")
        for query in QUERIES:
            if not re.search(r"\.(snapshots|files)\b", query):  # Iceberg's own tables
                assert database.execute(query.replace('"', "'")).description
