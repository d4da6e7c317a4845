"""Hostile text in a configuration, in data and in names: it stays text, or is refused with the key and the way out."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.config import Interval, SourceSection, read_config
from pipelines.config.sql import reaches_beyond
from pipelines.errors import ConfigError
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.plots import binary_plots
from pipelines.evaluation.report import Findings, Grid, Tile, render
from pipelines.io.sources.any_database import quoted_by
from pipelines.io.sources.csv_files import CsvFiles
from pipelines.io.sources.database_errors import Origin
from pipelines.io.sources.jdbc import JdbcTable
from pipelines.io.sources.kinds import make_source
from pipelines.io.sources.rest import RestApi
from pipelines.runtime.log_handler import JobHandler, begin_log, log_end
from pipelines.runtime.terminal import JsonConsole, PlainConsole
from schemas.contract import Column, Table
from tests.root import ROOT

LOG = logging.getLogger("pipelines.steps.clean")

YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
PAIRS = Table("pairs", (Column("id", "int"),))
HOSTILE = (
    "a'; drop table x; --", 'a"b', "a`b", "a b", "../../etc", "a.b", "a-b", "<script>alert(1)</script>", "{0.__class__}",
    "${HOME}", "$(id)", "a\nb", "a\x00b", "%s%n", "ä",
)  # fmt: skip


def refused(folder: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    """The message by which an edited flights configuration is refused."""
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    edit(content)
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_becomes_a_table_has_letters_digits_and_underscores(tmp_path: Path, name: str) -> None:
    assert "pipeline: expected" in refused(tmp_path, lambda c: c.update(pipeline=name))
    assert "sources" in refused(tmp_path, lambda c: c["sources"].update({name: {"kind": "csv", "path": "x"}}))
    if not name.isidentifier():
        assert "baselines are named" in refused(tmp_path, lambda c: c["features"].update(baselines={name: "1"}))


@pytest.mark.parametrize(
    ("contracts", "derive", "build", "message"),
    [
        (
            "os",
            None,
            None,
            r"contracts: os is in no package .*expected a module of schemas, pipelines\.stages or of your own\. .*`packages`",
        ),
        ("pipelines.io.filesystem", None, None, r"contracts: pipelines\.io\.filesystem is in no package"),
        (None, "os:system", None, "features.derive: os is in no package"),
        (None, "pipelines.io.filesystem:delete_folder", None, r"features\.derive: pipelines\.io\.filesystem is in no package"),
        (None, None, "subprocess:Popen", r"train\.network\.build: subprocess is in no package"),
    ],
)
def test_code_is_run_from_declared_packages_alone(
    tmp_path: Path, contracts: str | None, derive: str | None, build: str | None, message: str
) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["contracts"] = contracts or content["contracts"]
        content["features"]["derive"] = derive or content["features"]["derive"]
        if build:
            content["train"]["network"] = {"build": build}

    assert re.search(message, refused(tmp_path, edit))


def test_what_a_search_tries_is_held_to_the_packages_too(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["search"] = {"space": {"network.build": {"choices": ["subprocess:Popen"]}}, "trials": 1}

    assert "train.network.build: subprocess is in no package" in refused(tmp_path, edit)


def test_a_package_that_is_declared_may_run(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content.update(packages=["schemas", "tests.pipelines"])
    content["features"]["derive"] = "tests.pipelines.steps.leaky:delays"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    assert read_config(tmp_path / "own.yaml").packages == ("schemas", "tests.pipelines")


def test_modules_of_ones_own_run_where_no_package_is_declared_and_only_there(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content["contracts"] = "tests.pipelines.steps.rides"
    content["features"]["derive"] = "shop_of_mine:derive"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    assert read_config(tmp_path / "own.yaml").contracts == "tests.pipelines.steps.rides"

    def declare(content: dict[str, Any]) -> None:
        content.update(packages=["schemas", "tests"])
        content["features"]["derive"] = "shop_of_mine:derive"

    assert "features.derive: shop_of_mine is in no package" in refused(tmp_path, declare)


@pytest.mark.parametrize("package", [name for name in HOSTILE if name not in ("ä", "a.b")])
def test_a_package_is_a_dotted_name(tmp_path: Path, package: str) -> None:
    assert "packages" in refused(tmp_path, lambda c: c.update(packages=["schemas", package]))


@pytest.mark.parametrize("name", ["../flights.yaml", "/etc/passwd", "sub/a.yaml", "..", "."])
def test_a_configuration_extends_a_file_of_its_own_folder_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"extends": name}))
    with pytest.raises(ConfigError, match="extends: expected the name of a file in the same folder"):
        read_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "sql",
    [
        "reflect('java.lang.System', 'getenv', 'PASSWORD')", "java_method ('a', 'b')", "`reflect`('a', 'b')",
        "try_reflect\n('a', 'b')", "ReFlect/* */('a')", "java_method-- x\n('a')", "identifier('ref' || 'lect')('a', 'b')",
        "(select reflect('a', 'b'))", "system.builtin.reflect('a', 'b')", "ascii('${env:PASSWORD}')", "re${x}flect('a')",
    ],
)  # fmt: skip
def test_sql_of_a_baseline_reaches_neither_java_nor_the_environment(tmp_path: Path, sql: str) -> None:
    message = refused(tmp_path, lambda c: c["features"].update(baselines={"simple": sql}))
    assert "baselines.simple: " in message and "expected SQL over the examples' columns alone" in message


def test_plain_sql_of_a_baseline_is_left_alone() -> None:
    for sql in ("distance / 8", "case when identifier > 3 then 1 else 0 end", "reflected(x)", "a -- b\n + 1", "reflect + 1"):
        assert reaches_beyond(sql) is None


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ("?socketFactory=org.springframework.context.support.FileSystemXmlApplicationContext", "socketFactory"),
        ("?ssl=true&sslfactory=java.lang.Object", "sslfactory"),
        ("?loggerLevel=TRACE&loggerFile=/root/.bashrc", "loggerFile"),
        ("?autoDeserialize=true", "autoDeserialize"),
        ("?queryInterceptors=com.evil.Interceptor", "queryInterceptors"),
        ("?allowLoadLocalInfile=true", "allowLoadLocalInfile"),
        (";INIT=RUNSCRIPT FROM 'http://127.0.0.1/x.sql'", "INIT"),
        ("?enable_load_extension=true", "enable_load_extension"),
    ],
)
def test_an_address_has_the_driver_run_nothing(monkeypatch: pytest.MonkeyPatch, settings: str, name: str) -> None:
    url = f"jdbc:postgresql://127.0.0.1/db{settings}"
    with pytest.raises(ConfigError, match=f"its url sets {name}, by which a driver runs code or reaches files"):
        make_source("pairs", SourceSection(kind="jdbc", url=url, table="t"))
    monkeypatch.setenv("URL_SETTINGS", settings)
    source = make_source("pairs", SourceSection(kind="jdbc", url="jdbc:postgresql://127.0.0.1/db${URL_SETTINGS}", table="t"))
    with pytest.raises(ConfigError, match=f"its url sets {name}"):
        source.check(PAIRS, YEAR)


@pytest.mark.parametrize(
    "part",
    ["h/db?user=me&password=verysecret", "me:verysecret@h/db", "h/db?sslpassword=verysecret", "h/db?accessToken=verysecret"],
)
def test_a_secret_in_an_address_of_the_environment_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setenv("ADDRESS", part)
    source = make_source("pairs", SourceSection(kind="jdbc", url="jdbc:postgresql://${ADDRESS}", table="t"))
    for use in (lambda: source.check(PAIRS, YEAR), lambda: source.location):
        with pytest.raises(ConfigError, match="its url holds a user or a password") as caught:
            use()
        assert "verysecret" not in f"{caught.value} {caught.value.__cause__}"


def test_usual_settings_of_an_address_are_left_alone() -> None:
    usual = "jdbc:postgresql://h/db?ssl=true&sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory&initial=1"
    source = make_source("pairs", SourceSection(kind="jdbc", url=usual, table="t"))
    assert isinstance(source, JdbcTable) and source.location == "jdbc:postgresql://h/db t"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_databases_sql_is_one_name(name: str) -> None:
    origin = Origin("pairs", "jdbc:x t")
    for mark in ('"', "`"):
        quoted = quoted_by(mark, name, origin)
        assert quoted[0] == quoted[-1] == mark and quoted[1:-1].replace(mark * 2, "").count(mark) == 0
        assert quoted[1:-1].replace(mark * 2, mark) == name
    if name != "ä":
        with pytest.raises(ConfigError, match=r"the driver knows no quotation mark .*sources\.pairs\.table"):
            quoted_by("", name, origin)


def test_templates_reach_the_bounds_of_a_period_and_nothing_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    literal = "{0.__class__}{from.__class__}{from!r}{from[0]}{self}{}${HOME}"
    files = CsvFiles.model_validate({"kind": "csv", "path": f"d/{{from:%Y-%m}}-{{to}}/{literal}"})
    assert files.path_for(YEAR) == f"d/2013-01-2014-01-01/{literal}"
    monkeypatch.setenv("WHERE", "{from.__class__}")
    api = RestApi.model_validate(
        {"kind": "rest", "url": "http://h/${WHERE}/{from:%Y}", "params": {"q": "{from.year}{to:%Y}", "&x=1#": "a&b=c d"}}
    )
    endpoint = api._api(PAIRS, YEAR, token=None)
    assert endpoint.url == "http://h/{from.__class__}/2013"
    assert endpoint.params == {"q": "{from.year}2014", "&x=1#": "a&b=c d"}
    assert endpoint.address(1).endswith("?q=%7Bfrom.year%7D2014&%26x%3D1%23=a%26b%3Dc+d")


class Tags(HTMLParser):
    """Which tags a page has, and which attributes run a script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_a_report_shows_names_and_values_as_text() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"{{ 7*7 }}$x^$"
    grid = Grid(evil, (evil,), [(evil,)], evil)
    curves = {name: Curve.of(np.linspace(0.01, 0.99, 50), np.ones(50), np.ones(50)) for name in ("validation", "test")}
    page = render(
        Findings(
            title=evil, task="binary", facts={evil: evil}, verdict=evil, tiles=[Tile(evil, evil, evil, "good")],
            metrics={evil: {"auc": 0.5}}, first=[grid], grids=[grid],
            plots=binary_plots(curves, 0.5, ("<script>a", "$\\frac{$"), 10), drift=[(evil,) * 5], intervals=[(evil,) * 5],
            settings=[(evil, evil)],
        )
    )  # fmt: skip
    assert Tags(page).tags.isdisjoint({"script", "img"}) and not Tags(page).handlers
    assert "{{ 7*7 }}" in page and page.count("alert(1)") > 10


def test_received_values_are_no_markup_of_the_terminal() -> None:
    out = io.StringIO()
    log = begin_log("clean", json_lines=True)
    log.console = JsonConsole(out)
    for show in (log.console.print, LOG.warning):
        show("   clean: flights: 1 rows, dest: received '[/red][link=file:///etc]x[/link]'")
    assert out.getvalue().count("received '[/red][link=file:///etc]x[/link]'") == 2


def test_received_values_are_no_commands_to_the_terminal(job_log: JobHandler, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    console = PlainConsole(file=out, width=200, force_terminal=True)
    console.print("received '\x1b]0;title\x07\x1b[2J\x9b2J\r:car:' of dest", style="dim", soft_wrap=True)
    assert r"received '\x1b]0;title\x07\x1b[2J\x9b2J\x0d:car:' of dest" in out.getvalue()
    job_log.console = console
    LOG.warning("   clean: flights: 1 rows, dest: received '\x1b[2J:car:[/red]'")
    assert r"received '\x1b[2J:car:[/red]'" in out.getvalue()
    log_end(LOG, "clean failed: received '\x1b[2J\r'\n\tsecond line")
    assert capsys.readouterr().err == "ringmill: clean failed: received '\\x1b[2J\\x0d'\n\tsecond line\n"
