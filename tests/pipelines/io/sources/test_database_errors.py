"""What a database's failure means, and that the password is named only where it was refused. No database here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.io.sources.database_errors import Failure, Origin, external
from pipelines.io.sources.sqlite import Sqlite

ORIGIN = Origin("s", "jdbc:x://h/d t", "DB_PASSWORD")


@pytest.mark.parametrize(
    ("failure", "fix"),
    [
        (
            Failure('FATAL: password authentication failed for user "u"', "28P01"),
            "or the password in the environment variable DB",
        ),
        (
            Failure("Access denied for user 'u'@'h' (using password: YES)", "28000", 1045),
            "the environment variable DB_PASSWORD",
        ),
        (Failure('FATAL: no pg_hba.conf entry for host "h", user "u", no encryption', "28000"), "or the server's rules"),
        (Failure("The server does not support SSL.", "08006"), "such as sslmode in it"),
        (Failure('FATAL: role "u" does not exist', "28000"), "Fix sources.s.user."),
        (Failure("ERROR: canceling statement due to statement timeout", "57014"), "Raise the user's limit in the database"),
        (Failure("Query execution was interrupted (max_statement_time exceeded)", "70100", 1969), "Raise the user's limit"),
        (Failure("ERROR: canceling statement due to lock timeout", "55P03"), "Run again later."),
        (Failure("requirement failed: The driver could not open a JDBC connection. Check the URL"), "Fix sources.s.driver, or"),
        (Failure("Unable to parse URL jdbc:postgresql://h:99999/d"), "Fix sources.s.url."),
        (Failure("error parsing url: url parsing error : '//' is not present"), "Fix sources.s.url."),
    ],
)
def test_a_failure_says_what_to_fix(failure: Failure, fix: str) -> None:
    reported = str(external(failure, ORIGIN))
    assert fix in reported and failure.words in reported
    assert ("DB_PASSWORD" in reported) == ("password" in failure.words)


def test_addresses_of_sqlite_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address, absolute in {
        "a.db": f"{tmp_path}/a.db",
        "file:a.db?mode=ro": f"file:{tmp_path}/a.db?mode=ro",
        "file:/x/a.db?mode=ro": "file:/x/a.db?mode=ro",
        "file:///x/a.db": "file:///x/a.db",
        "/x/a.db": "/x/a.db",
        ":memory:": ":memory:",
        "": "",
    }.items():
        assert Sqlite.address(f"jdbc:sqlite:{address}") == f"jdbc:sqlite:{absolute}"
