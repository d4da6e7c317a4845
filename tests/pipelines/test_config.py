"""Configuration: what is wrong in it is named, with what was expected and how to mend it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config import Interval, load, read_config
from pipelines.errors import ConfigError
from pipelines.flows.checks import check_config
from tests.conftest import ROOT

FLIGHTS = ROOT / "conf" / "flights.yaml"
Edit = Callable[[dict[str, Any]], object]


def edited(tmp_path: Path, edit: Edit) -> Path:
    """The flights configuration with one edit."""
    content = yaml.safe_load(FLIGHTS.read_text())
    edit(content)
    path = tmp_path / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_flights_configuration_is_valid() -> None:
    config = read_config(FLIGHTS)
    check_config(config)
    assert set(config.sources) == {"flights", "weather", "planes", "airports", "airlines"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(epochs=3), r"epochs: unknown key"),
        (lambda c: c["train"].update(epoch=3), r"train\.epoch: unknown key"),
        (lambda c: c["train"].update(epochs="many"), r"train\.epochs: .*integer.*received 'many'"),
        (lambda c: c["train"].update(ranks=0), r"train\.ranks: .*greater than or equal to 1.*received 0"),
        (lambda c: c["features"]["numeric"]["temp"].update(scale="zscor"), r"temp\.scale: .*'zscore'.*received 'zscor'"),
        (lambda c: c.update(timezone="Mars/Olympus"), r"timezone: .*unknown time zone 'Mars/Olympus'"),
        (lambda c: c["interval"].update(to="2012-01-01"), r"interval: .*must be before"),
        (lambda c: c["sources"].clear(), r"sources: .*at least 1"),
        (lambda c: c["sources"]["flights"].update(kind="xml"), r"sources\.flights\.kind: .*'csv'.*received 'xml'"),
        (lambda c: c["evaluate"]["minimum"].update(auk=1), r"evaluate\.minimum\.auk"),
    ],
)
def test_wrong_keys_and_types_are_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(edited(tmp_path, edit))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["sources"].update(trains=c["sources"]["flights"]), r"sources\.trains: no contract of that name"),
        (lambda c: c["features"]["numeric"].update(tmp={}), r"features\.numeric\.tmp: unknown column; expected one of .*temp"),
        (lambda c: c["features"]["numeric"].update(airline={}), "declared under two kinds"),
        (lambda c: c["features"]["categorical"].update(plane_age={}), "declared under two kinds"),
        (lambda c: c["features"].update(rows_of="trains"), r"features\.rows_of: 'trains' is no source"),
        (lambda c: c["features"].update(derive="pipelines.stages.flights:nothing"), r"features\.derive: cannot load"),
        (lambda c: c.update(contracts="schemas.nowhere"), r"contracts: cannot load 'schemas\.nowhere:SOURCES'"),
    ],
)
def test_what_contradicts_a_contract_is_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(read_config(edited(tmp_path, edit)))


def test_feature_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    def move(content: dict[str, Any]) -> None:
        content["features"]["categorical"]["plane_age"] = {}
        del content["features"]["numeric"]["plane_age"]

    with pytest.raises(ConfigError, match=r"features\.categorical\.plane_age: the column is of type double; expected string"):
        check_config(read_config(edited(tmp_path, move)))


@pytest.mark.parametrize(("text", "message"), [("a: [", "not valid YAML"), ("", "the whole file")])
def test_what_is_not_a_mapping_is_refused(write: Callable[[str, str], str], text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(Path(write("bad.yaml", text)))


def test_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config conf/none\.yaml: cannot be read"):
        read_config(Path("conf/none.yaml"))


def test_contract_with_an_unknown_column_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "from schemas.contract import Column, Table\nSOURCES = {'t': Table('t', (Column('a', 'int'),), key=('b',))}\n"
    (tmp_path / "broken_contract.py").write_text(broken)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="contracts: contract t: unknown column b; expected one of a"):
        load("broken_contract:SOURCES", "contracts")


def test_interval_is_placed_in_the_pipelines_zone() -> None:
    interval = Interval(start=datetime(2013, 1, 1), end=datetime(2013, 7, 1)).located("America/New_York")  # noqa: DTZ001
    assert interval.start.astimezone(UTC) == datetime(2013, 1, 1, 5, tzinfo=UTC)
    assert interval.end.astimezone(UTC) == datetime(2013, 7, 1, 4, tzinfo=UTC)


def test_digest_depends_on_its_sections_alone(tmp_path: Path) -> None:
    before = read_config(FLIGHTS)
    after = read_config(edited(tmp_path, lambda c: c["train"].update(epochs=3)))
    assert before.digest("features") == after.digest("features")
    assert before.digest("train") != after.digest("train")
