"""A mistake in the configuration is named, with what was expected and how to fix it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from pipelines.config import Interval, load, read_config
from pipelines.config.drift import DriftConfig
from pipelines.errors import ConfigError
from pipelines.runtime.checks import check_config
from schemas import flights
from tests.root import ROOT

FLIGHTS = ROOT / "conf" / "flights.yaml"
Edit = Callable[[dict[str, Any]], object]


def edited(tmp_path: Path, edit: Edit) -> Path:
    """The flights configuration with one edit."""
    content = yaml.safe_load(FLIGHTS.read_text())
    content["packages"] = ["schemas", "pipelines.stages", "tests", "os"]
    edit(content)
    path = tmp_path / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_flights_configuration_is_valid() -> None:
    config = read_config(FLIGHTS)
    check_config(config)
    assert set(config.sources) == {"flights", "weather", "planes", "airports", "airlines"}


@pytest.mark.parametrize("name", ["weather", "digits", "sentiment"])
def test_the_other_examples_are_valid(name: str) -> None:
    config = read_config(ROOT / "conf" / f"{name}.yaml")
    check_config(config)
    assert config.pipeline == name


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["train"].update(epochs=True), r"train\.epochs: expected a valid integer; received True"),
        (lambda c: c["train"].update(tensorboard=1), r"train\.tensorboard: expected true or false; received 1"),
        (lambda c: c["clean"].update(max_quarantined_share=True), r"clean\.max_quarantined_share: expected a number; received"),
        (
            lambda c: c["features"]["numeric"].update(x={"clip": [False, 2]}),
            r"x\.clip\.0: expected a number; received False",
        ),
        (lambda c: c["features"]["numeric"].update(x={"impute": True}), r"numeric\.x\.impute: .* or a number; received True"),
        (lambda c: c["features"].update(image={"x": {"height": 2, "width": 2, "channels": True}}), "expected 1 or 3; received"),
    ],
)
def test_a_truth_value_is_no_number_and_a_number_is_not_true(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(edited(tmp_path, edit))


def test_a_number_that_yaml_takes_for_text_is_one(tmp_path: Path) -> None:
    path = tmp_path / "text.yaml"
    path.write_text(FLIGHTS.read_text() + "\nmaintain: {raw_days: 3e1}\n")
    assert read_config(path).maintain.raw_days == 30


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["features"]["windows"].update(label="tmp"), r"features\.windows\.label: unknown column tmp"),
        (lambda c: c["features"]["windows"].update(by=["airport"]), r"features\.windows\.by: unknown column airport"),
        (lambda c: c["features"]["windows"].update(at="temp"), r"features\.windows\.at: the column temp is of type double"),
        (lambda c: c["features"]["windows"].update(label=None), r"no column label, and features\.windows\.label names none"),
        (lambda c: c["features"]["sequence"]["past"]["of"].update(rain={}), r"features\.sequence\.past: unknown column rain"),
        (
            lambda c: c["features"]["split"].update(embargo_hours=23),
            r"embargo_hours: 23 hours, but labels lie up to 24 hours ahead .*; expected at least 24",
        ),
    ],
)
def test_windows_are_checked_against_the_contracts(tmp_path: Path, edit: Edit, message: str) -> None:
    content = yaml.safe_load((ROOT / "conf" / "weather.yaml").read_text())
    edit(content)
    path = tmp_path / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        check_config(read_config(path))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(epochs=3), r"epochs: unknown key; expected one of pipeline, title, .*, schedule\. Remove it"),
        (lambda c: c["train"].update(epoch=3), r"train\.epoch: unknown key; expected one of .*epochs"),
        (lambda c: c["interval"].update(until=3), r"interval\.until: unknown key; expected one of from, to\. "),
        (
            lambda c: c["features"]["numeric"]["temp"].update(scaler="none"),
            r"numeric\.temp\.scaler: unknown key; expected one of impute, clip, log1p, scale, indicator\. ",
        ),
        (
            lambda c: c["features"]["split"].update(at=3),
            r"at: unknown key; expected one of by, validation_from, test",
        ),
        (
            lambda c: c["features"].update(sequence={"past": {"of": {"temp": {"mean": 3}}, "length": 3}}),
            r"past\.of\.temp\.mean: unknown key; expected one of impute, clip",
        ),
        (lambda c: c.update(task={"kind": "binary", "unit": "s"}), r"unit: unknown key; expected one of kind, classes\. "),
        (lambda c: c["train"].update(epochs="many"), r"train\.epochs: .*integer.*received 'many'"),
        (lambda c: c["train"].update(ranks=0), r"train\.ranks: .*greater than or equal to 1.*received 0"),
        (lambda c: c["features"]["numeric"]["temp"].update(scale="zscor"), r"temp\.scale: .*'zscore'.*received 'zscor'"),
        (lambda c: c.update(timezone="Mars/Olympus"), r"timezone: .*unknown time zone 'Mars/Olympus'"),
        (lambda c: c["interval"].update(to="2012-01-01"), r"interval: .*must be before"),
        (lambda c: c["sources"].clear(), r"sources: .*at least 1"),
        (
            lambda c: c["interval"].update({"from": 2013}),
            r"interval\.from: expected a date or a time, such as .*received 2013",
        ),
        (lambda c: c["interval"].update({"from": "20130101"}), r"interval\.from: expected a date or a time"),
        (lambda c: c["interval"].update({"from": "2013-02-30"}), r"interval\.from: expected a date or time that exists"),
        (lambda c: c["interval"].update({"from": "0001-01-01"}), r"interval\.from: expected a year from 2 to 9998"),
        (lambda c: c["interval"].update({"from": "2014-01-01T06:00Z"}), r"interval: from \(2014-01-01 06:00.*must be before"),
        (lambda c: c["features"]["split"].update(test_from=86400), r"features\.split\.test_from: expected a date or a time"),
        (
            lambda c: c["features"].update(time={"at": {"holidays": [20130101]}}),
            r"features\.time\.at\.holidays\.0: expected a date or a time",
        ),
        (lambda c: c.update(timezone="America"), r"timezone: unknown time zone 'America'"),
        (lambda c: c["features"].update(ordinal={"x": ["a"]}), r"x: expected a section with the keys order; received \['a'"),
        (
            lambda c: c["features"].update(ordinal={"x": {"order": [False, "b"]}}),
            r"order\.0: expected text; received False\.",
        ),
        (lambda c: c["features"].update(parameters={1: 1}), r"features\.parameters\.1: expected text as a key; received 1"),
        (lambda c: c.update(evaluate={"minimum": {"auc": float("nan")}}), r"evaluate\.minimum\.auc: expected a finite number"),
        (
            lambda c: c["train"].update(mlflow={"tracking_uri": "http://me:secret@host"}),
            r"the uri holds a password.*; received 'http://\*\*\*@host'",
        ),
        (
            lambda c: c["search"]["space"].update(batch_size=7),
            r"batch_size: expected a section with the keys choices or a section with the keys low, high, log, step; received 7",
        ),
        (
            lambda c: c["search"]["space"].update(x={"low": 0.0, "high": 1e300, "step": 0.1}),
            r"search\.space\.x: step 0\.1 leaves more than 100,000 values",
        ),
        (
            lambda c: c.update(train={"ranks": 0, "epochs": "a", "batch_size": 0, "seed": -1, "retries": -1, "x": 1, "y": 2}),
            r"train\.ranks: .* And 2 problems more\. Fix it there\.$",
        ),
        (
            lambda c: c["evaluate"].update(threshold_by="cost"),
            r"evaluate: threshold_by is cost and costs is not given; expected costs with threshold_by: cost",
        ),
        (
            lambda c: (
                c["features"].update(baselines={"trees": "0.5"}),
                c["evaluate"].update(gradient_boosting={"name": "trees"}),
            ),
            r"gradient_boosting\.name: trees is one of features\.baselines",
        ),
        (
            lambda c: c.update(task={"kind": "regression"}, train={}, evaluate={"calibration": "platt"}),
            r"evaluate\.calibration: it is of a binary task's scores; task\.kind is regression",
        ),
        (lambda c: c["evaluate"].update(minimum_precision=0.5), r"threshold_by is f1 and minimum_precision is given"),
        (
            lambda c: c["evaluate"].update(threshold_by="cost", costs={"false_positive": 0, "false_negative": 0}),
            r"evaluate\.costs: both costs are 0",
        ),
        (lambda c: c["evaluate"]["minimum"].update(auk=1), r"evaluate\.minimum\.auk"),
        (lambda c: c["features"].update(bucketized={"hour": {"edges": [5, 5]}}), r"hour: .*edges must ascend"),
        (lambda c: c["features"].update(bucketized={"hour": {"edges": []}}), r"hour\.edges: .*at least 1 item"),
        (lambda c: c["features"].update(bucketized={"temp": {"edges": [5]}}), r"declared under two kinds: temp"),
        (lambda c: c["features"].update(ordinal={"size": {"order": ["s", "s"]}}), r"size: .*order names a word twice"),
        (lambda c: c["features"].update(crossed={"route": {"of": ["origin"]}}), r"route\.of: .*at least 2 items"),
        (
            lambda c: c["features"].update(split={"by": "entity", "columns": ["origin"], "validation": 0.5, "test": 0.5}),
            r"leave nothing to train on",
        ),
        (lambda c: c["features"].update(split={"by": "dice"}), r"features\.split: .*'time', 'entity', 'column'"),
        (lambda c: c["features"].update(known_at={"tempp": "time_hour"}), r"known_at names no feature: tempp"),
        (lambda c: c["features"]["numeric"].update({"class": {}}), r"names that a model's inputs cannot have: class"),
        (
            lambda c: c["features"]["numeric"].update(temp={"indicator": True}, temp_missing={}),
            r"columns that two make: temp_missing \(numeric\.temp and numeric\.temp_missing\)",
        ),
        (
            lambda c: c["features"].update(time={"at": {"encode": "ids"}}, numeric={"at_hour": {}}),
            r"columns that two make: at_hour \(numeric\.at_hour and time\.at\)",
        ),
        (
            lambda c: c["features"].update(time={"at": {}}, cyclic={"at_hour": {"period": 24}}),
            r"at_hour_cos \(cyclic\.at_hour and time\.at\), at_hour_sin \(cyclic\.at_hour and time\.at\)",
        ),
        (
            lambda c: c["features"].update(cyclic={"x": {"period": 7}}, boolean={"X_sin": {}}),
            r"boolean\.X_sin and cyclic\.x\)",
        ),
        (lambda c: c["features"].update(cyclic={"split": {"period": 7}}), r"split \(a column of the features table and cyclic"),
        (
            lambda c: c["features"].update(baselines={"a": "1"}, boolean={"baseline_a": {}}),
            r"\(baselines\.a and boolean\.baseline_a",
        ),
        (lambda c: c["features"].update(text={"ids": {"length": 3}}), r"ids \(an input of the network and text\.ids\)"),
        (lambda c: c["features"]["numeric"]["temp"].update(clip=[3, 3]), r"temp: .*clip is from 3 to 3; expected a low"),
        (lambda c: c["features"]["numeric"]["temp"].update(clip=[0, float("inf")]), r"temp\.clip\.1: .*finite number"),
        (
            lambda c: c["features"]["numeric"]["temp"].update(impute=float("nan")),
            r"temp\.impute: .*'median' or a finite number; received nan",
        ),
        (lambda c: c["features"].update(cyclic={"hour": {"period": float("inf")}}), r"hour\.period: .*finite number"),
        (lambda c: c.update(drift={"ks": {"warn": 0.3, "fail": 0.2}}), r"drift\.ks: .*fail \(0\.2\) is below warn \(0\.3\)"),
        (
            lambda c: c["features"].update(time={"at": {"parts": ["hour", "day"]}}),
            r"at\.parts\.1: .*'hour', 'weekday' or 'month'",
        ),
        (lambda c: c["features"].update(time={"at": {"parts": []}}), r"neither parts nor holidays"),
        (lambda c: c["features"].update(sequence={"past": {"of": {"temp": {}}, "length": 3}}), r"expected features\.windows"),
        (
            lambda c: c["features"].update(sequence={"past": {"of": {"temp": {"indicator": True}}, "length": 3}}),
            r"a column of a sequence has no indicator: temp",
        ),
        (lambda c: c.update(task={"kind": "ranking"}), r"task: .*'binary', 'multiclass', 'regression'"),
        (
            lambda c: c.update(task={"kind": "regression"}, train={"monitor": "validation_auc"}),
            r"train\.monitor is validation_auc; expected .* validation_mae",
        ),
        (
            lambda c: c.update(
                task={"kind": "regression"},
                train={},
                evaluate={"yardstick": {"auc": 0.7, "average_precision": 0.5, "log_loss": 0.5}},
            ),
            r"evaluate\.yardstick: auc, average_precision, log_loss is no metric of a regression task; expected some of mae",
        ),
        (
            lambda c: c["train"].update(loss={"name": "huber"}),
            r"train\.loss: huber is no loss of a binary task; expected one of cross_entropy, focal",
        ),
        (
            lambda c: c.update(task={"kind": "regression"}, train={"loss": {"name": "focal"}}, evaluate={}),
            r"train\.loss: focal is no loss of a regression task; expected one of squared, absolute, huber, quantile",
        ),
        (lambda c: c["train"].update(loss={"name": "hinge"}), r"train\.loss: .*'cross_entropy', 'focal', 'squared'"),
        (
            lambda c: c["train"].update(loss={"name": "quantile"}),
            r"train\.loss\.quantile: the key is missing",
        ),
        (
            lambda c: c.update(
                task={"kind": "multiclass", "classes": ["a", "b"]}, train={"loss": {"name": "focal", "alpha": 0.5}}, evaluate={}
            ),
            r"train\.loss: alpha is that of two classes",
        ),
        (
            lambda c: c["train"].update(class_weights={"early": 2}),
            r"train\.class_weights: unknown class early; expected some of 0, 1, on time, late",
        ),
        (lambda c: c["train"].update(class_weights={1: 2, "late": 3}), r"train\.class_weights: 1, late name a class twice"),
        (lambda c: c["train"].update(class_weights={"late": 0}), r"train\.class_weights\.late: .*greater than 0"),
        (
            lambda c: c.update(task={"kind": "regression"}, train={"class_weights": {"late": 2}}, evaluate={}),
            r"train\.class_weights: a regression has no classes",
        ),
        (
            lambda c: c["train"]["network"].update(activation="rellu"),
            r"train\.network\.activation: unknown activation 'rellu' \(did you mean relu\?\); expected one of celu, .*tanh",
        ),
        (
            lambda c: c["train"]["network"].update(initializer="he_norml"),
            r"train\.network\.initializer: unknown initializer 'he_norml' \(did you mean he_normal\?\); expected one of glorot",
        ),
        (
            lambda c: c["train"]["optimizer"].update(name="adam"),
            r"train\.optimizer\.name: unknown optimizer 'adam' \(did you mean Adam\?\); expected one of Adadelta, .*SGD",
        ),
        (
            lambda c: c["train"]["optimizer"].update(options={"momentum": 0.9}),
            r"train\.optimizer\.options: unknown option of Adam 'momentum' .*; expected one of beta_1, .*weight_decay",
        ),
        (lambda c: c.update(task={"kind": "regression", "transform": "log"}), r"task\.transform: .*'none' or 'log1p'.*'log'"),
        (lambda c: c["task"].update(clip=True), r"task\.clip: unknown key"),
        (lambda c: c["train"]["network"].update(options={"a": 1}), r"train\.network: .*options are those of a function"),
        (
            lambda c: c["train"]["network"].update(initializer={"uniform": 0}),
            r"train\.network\.initializer\.uniform: .*greater than 0",
        ),
        (lambda c: c["train"].update(accumulation=3), r"train: .*batch_size 1024 is no multiple of accumulation 3"),
        (
            lambda c: (c["train"].update(accumulation=2), c["train"]["network"].update(batch_norm=True)),
            r"train: .*batch_norm needs all rows of a step at once",
        ),
        (lambda c: c["train"].update(precision="mixed_float16"), r"train\.precision: .*'float32' or 'mixed_bfloat16'"),
        (lambda c: c["train"].update(optimizer={"final": 0.1}), r"train\.optimizer: .*a constant rate has no final share"),
        (
            lambda c: c["train"].update(optimizer={"reduce_on_plateau": {"factor": 1}}),
            r"train\.optimizer\.reduce_on_plateau\.factor: .*less than 1",
        ),
        (
            lambda c: c["features"].update(windows={"by": ["origin"], "at": "time_hour", "step_minutes": 60, "label": "temp"}),
            r"features\.windows\.label needs a regression task; task\.kind is binary",
        ),
        (
            lambda c: c.update(task={"kind": "multiclass", "classes": "abc"}, train={}, evaluate={}),
            r"task\.classes: .*received 'abc'",
        ),
        (
            lambda c: (
                c.update(task={"kind": "multiclass", "classes": ["a", "b"]}, train={}, evaluate={}),
                c["features"].update(target={"carrier": {}}),
            ),
            r"features\.target needs a label that is one number",
        ),
    ],
)
def test_wrong_keys_and_types_are_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(edited(tmp_path, edit))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c["sources"]["flights"].update(kind="xml"),
            r"sources\.flights\.kind: unknown kind 'xml'; expected one of csv",
        ),
        (lambda c: c["sources"]["flights"].update(pth="x"), r"sources\.flights\.pth: unknown key; expected one of .*path"),
        (lambda c: c["sources"]["flights"].update(drift="drop"), r"sources\.flights\.drift: .*'ignore'.*received 'drop'"),
        (lambda c: c["sources"].pop("airports"), r"contract flights: a reference to airports, which is no source"),
        (lambda c: c["sources"].update(features={"kind": "csv", "path": "x"}), r"sources\.features: a source may not be named"),
        (lambda c: c.update(contracts="tests.pipelines.keyless"), r"tests\.pipelines\.keyless EXAMPLES: no key; expected"),
        (lambda c: c["sources"].update(trains=c["sources"]["flights"]), r"sources\.trains: no contract of that name"),
        (lambda c: c["features"]["numeric"].update(tmp={}), r"features\.numeric\.tmp: unknown column; expected one of .*temp"),
        (lambda c: c["features"]["numeric"].update(airline={}), "declared under two kinds"),
        (lambda c: c["features"]["categorical"].update(plane_age={}), "declared under two kinds"),
        (
            lambda c: c["features"].update(crossed={"scheduled_departure": {"of": ["weekday", "airline"]}}),
            r"features\.crossed\.scheduled_departure: it makes a column scheduled_departure, which is the event time",
        ),
        (lambda c: c["features"].update(rows_of="trains"), r"features\.rows_of: 'trains' is no source"),
        (lambda c: c["features"].update(derive="pipelines.stages.flights:nothing"), r"features\.derive: cannot load"),
        (lambda c: c.update(contracts="schemas.nowhere"), r"contracts: cannot load 'schemas\.nowhere:SOURCES'"),
        (
            lambda c: c.update(contracts="tests.pipelines.no_contracts"),
            r"no_contracts:SOURCES is a dict to str; expected a",
        ),
        (lambda c: c["features"].update(derive="os:sep"), r"features\.derive: os:sep is of type str; expected a function"),
        (
            lambda c: c["sources"]["flights"].update(rename={"tail": "tailnumber"}),
            r"sources\.flights\.rename: unknown column tailnumber; expected one of year",
        ),
        (
            lambda c: (
                c["features"]["categorical"].pop("origin"),
                c["features"].update(ordinal={"origin": {"order": ["a", "b"]}}),
            ),
            r"features\.ordinal\.origin\.order: it lacks 'EWR', 'JFK', 'LGA', which schemas\.flights EXAMPLES allows",
        ),
        (
            lambda c: c["features"].update(baselines={"simple": "distanc / 8"}),
            r"features\.baselines\.simple: 'distanc / 8' names no column distanc; expected some of distance, … ",
        ),
        (
            lambda c: c["sources"]["flights"].update(path=2013),
            r"^sources\.flights\.path: expected text; received 2013\. Put it in quotes\.$",
        ),
        (
            lambda c: c["sources"].update(planes={"kind": "jdbc", "url": "jdbc:x?password=secret", "table": "t"}),
            r"^sources\.planes: a source of kind jdbc: its url holds a user or a password",
        ),
        (
            lambda c: c["evaluate"].update(slices=["origin", ["temp", "airline"]]),
            r"evaluate\.slices: temp is no categorical, crossed or bucketized feature; expected some of airline, ",
        ),
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


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({}, ((0.25, None), (None, None), (0.1, None))),
        ({"psi": {"fail": 1}}, ((0.25, 1), (None, None), (0.1, None))),
        ({"psi": {"fail": 0.2}, "ks": {"fail": 0.5}}, ((0.2, 0.2), (None, 0.5), (0.1, None))),
        ({"psi": {"warn": None, "fail": 1}, "missing": {"warn": 0.3}}, ((None, 1), (None, None), (0.3, None))),
    ],
)
def test_a_bound_that_fails_keeps_the_warning(given: dict[str, Any], bounds: tuple[tuple[float | None, ...], ...]) -> None:
    drift = DriftConfig.model_validate(given)
    assert tuple((each.warn, each.fail) for each in (drift.psi, drift.ks, drift.missing)) == bounds


LAYOUT = {"partition_by": ("carrier",), "sorted_by": ("carrier",), "properties": {"a": "b"}, "one_partition": True}


@pytest.mark.parametrize(("key", "value"), LAYOUT.items())
def test_a_sources_contract_leaves_the_layout_to_ringmill(monkeypatch: pytest.MonkeyPatch, key: str, value: Any) -> None:
    monkeypatch.setitem(flights.SOURCES, "flights", replace(flights.SOURCES["flights"], **{key: value}))
    with pytest.raises(ConfigError, match=rf"contract flights: it sets {key}, which tables of raw and clean rows do not take"):
        check_config(read_config(FLIGHTS))


def test_an_interval_is_located_in_the_pipelines_zone() -> None:
    interval = Interval(start=datetime(2013, 1, 1), end=datetime(2013, 7, 1)).located("America/New_York")
    assert interval.start.astimezone(UTC) == datetime(2013, 1, 1, 5, tzinfo=UTC)
    assert interval.end.astimezone(UTC) == datetime(2013, 7, 1, 4, tzinfo=UTC)


def test_digest_depends_on_its_sections_alone(tmp_path: Path) -> None:
    before = read_config(FLIGHTS)
    after = read_config(edited(tmp_path, lambda c: c["train"].update(epochs=3)))
    assert before.digest("features") == after.digest("features")
    assert before.digest("train") != after.digest("train")


def test_a_configuration_may_extend_another(tmp_path: Path) -> None:
    config = read_config(ROOT / "conf" / "flights_sources.yaml")
    check_config(config)
    base = read_config(FLIGHTS)
    assert {name: section.kind for name, section in config.sources.items()} == {
        "flights": "csv", "weather": "rest", "planes": "jdbc", "airports": "jdbc", "airlines": "csv",
    }  # fmt: skip
    assert (config.pipeline, config.features, config.train) == ("flights_sources", base.features, base.train)
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: c.yaml\n")
    with pytest.raises(ConfigError, match=r"extends: b\.yaml is no whole configuration"):
        read_config(tmp_path / "a.yaml")


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("every", "start", "end", "hours"),
    [
        ("day", "2013-03-09", "2013-03-12", [24, 23, 24]),  # clocks go forward on the tenth
        ("12 hours", "2013-03-10", "2013-03-10T13:00", [12]),
        ("month", "2012-12-01", "2013-03-01", [744, 744, 672]),
        ("2 weeks", "2013-05-01", "2013-05-29", [336, 336]),
        ("year", "2012-01-01", "2014-01-01", [8784, 8760]),
    ],
)
def test_an_interval_is_cut_by_the_calendar(every: str, start: str, end: str, hours: list[int]) -> None:
    whole = Interval(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end)).located("America/New_York")
    parts = whole.cut(every)
    assert [(part.end.astimezone(UTC) - part.start.astimezone(UTC)).total_seconds() / 3600 for part in parts] == hours
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert [one.end for one in parts[:-1]] == [other.start for other in parts[1:]]


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("fortnight", "unknown length 'fortnight'"),
        ("month", "is not a whole number of 'month'"),
        ("0 days", "unknown length '0 days'"),
    ],
)
def test_an_interval_that_cannot_be_cut_says_why(every: str, message: str) -> None:
    whole = Interval(start=datetime(2013, 1, 1, tzinfo=NEW_YORK), end=datetime(2013, 2, 15, tzinfo=NEW_YORK))
    with pytest.raises(ValueError, match=message):
        whole.cut(every)
