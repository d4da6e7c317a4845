"""Whatever is wrong with a configuration or a contract, one line says so, and nothing but ringmill's own errors comes of it.

RINGMILL_MUTATIONS=100000 tries that many mutations, other ones each time; without it the same 2,000 are tried.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.config import Pipeline, read_config
from pipelines.errors import ConfigError, RingmillError
from pipelines.runtime.checks import check_config, check_sections
from schemas import digits, flights, sentiment, weather
from schemas.contract import Column, ContractError, Conversion, Freshness, Outliers, Reference, Rule, Table, Volume
from tests.root import ROOT

WANTED = int(os.environ.get("RINGMILL_MUTATIONS", "2000"))
CONFIGURATIONS, CONTRACTS = WANTED * 3 // 5, WANTED * 2 // 5
CONTENTS = {
    name: yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text()) for name in ("flights", "weather", "digits", "sentiment")
}
MODULES = (flights, weather, digits, sentiment)
SECTIONS = ("sources", "clean", "features", "task", "drift", "train", "search", "evaluate")
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2013, 10**30, -(10**18), 0.5, 1e308, 5e-324, float("nan"), float("inf"), "", " ", "\n", "\0",
    "none", "a" * 300, "é\u2009\ufffe", "a.b", "a`b", "label", "time", "1e5", "2013-02-30", "x:y", "${HOME}", "{from:%", "a,b",
    [], [[]], {}, {"a": {}}, {1: 2}, ["a", "a"], [None], date(1, 1, 1), date(9999, 12, 31), b"\xff", "(", "x >", "'", "%Y",
]  # fmt: skip
# Every message begins with the key, the file or the contract that it is about.
NAMED = re.compile(r"(config /\S+\.yaml|contracts|contract [^:]+|[\w.]+ EXAMPLES|[a-z_]+(\.[^:]+)?)(, line \d+[^:]*)?: ")
odd = st.sampled_from(ODD) | st.text(max_size=6) | st.integers() | st.floats()
positions = st.integers(0, 2**16)
changes = st.lists(
    st.tuples(st.sampled_from(("delete", "rename", "replace", "wrap", "swap")), positions, odd, positions), max_size=3
)
lines = st.none() | st.tuples(st.sampled_from(("twice", "none", "cut")), positions)


def bounded(examples: int) -> settings:
    """So many examples: the same ones, unless their number is given."""
    fixed = "RINGMILL_MUTATIONS" not in os.environ
    return settings(max_examples=examples, derandomize=fixed, database=None, suppress_health_check=[HealthCheck.too_slow])


def nodes(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each section or list of a content with each of its keys or positions."""
    for key, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
        yield content, key
        if isinstance(value, dict | list):
            yield from nodes(value)


def mutate(content: Any, change: str, at: int, value: Any, other: int) -> None:
    """Change a content at one position."""
    value = copy.deepcopy(value)  # what one change puts in, another may change
    known = list(nodes(content))
    if not known:
        return
    section, key = known[at % len(known)]
    target, source_key = known[other % len(known)]
    if change == "delete":
        section.pop(key)
    elif change == "rename" and isinstance(section, dict):
        section[value if isinstance(value, str | int | float | None) else str(value)] = section.pop(key)
    elif change == "replace":
        section[key] = value
    elif change == "wrap":
        section[key] = [section[key]] if other % 2 else {"a": section[key]}
    elif source_key in target if isinstance(target, dict) else source_key < len(target):
        section[key] = copy.deepcopy(target[source_key])


def edited(text: str, edit: tuple[str, int] | None) -> str:
    """A text with one line twice, without one, or with one cut."""
    if edit is None:
        return text
    text_lines, at = text.splitlines(), edit[1] % len(text.splitlines())
    text_lines[at : at + 1] = {"twice": [text_lines[at]] * 2, "none": [], "cut": [text_lines[at][: len(text_lines[at]) // 2]]}[
        edit[0]
    ]
    return "\n".join(text_lines)


def check(path: Path) -> Pipeline | None:
    """Read and check a configuration; None where it is refused, whose message is held to one line that names a key or file."""
    try:
        config = read_config(path)
        check_sections(config, SECTIONS)
        check_config(config)
    except ConfigError as error:
        assert_one_line(str(error))
        return None
    except RingmillError:
        return None
    return config


def assert_one_line(message: str) -> None:
    assert message.isprintable(), message
    assert NAMED.match(message), message


@bounded(CONFIGURATIONS)
@given(name=st.sampled_from(sorted(CONTENTS)), changed=changes, edit=lines)
def test_a_mutated_configuration_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, changed: list[Any], edit: Any
) -> None:
    content = copy.deepcopy(CONTENTS[name])
    for change in changed:
        mutate(content, *change)
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    text = yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True, sort_keys=False)
    path.write_text(edited(text, edit), encoding="utf-8")
    check(path)


TABLES = [table for module in MODULES for table in (*module.SOURCES.values(), module.EXAMPLES)]
NESTED: list[Any] = [
    Conversion("inch", 25.4), Outliers("clip"), Rule("r", "id > 3"), Reference(("id",), "t", ("id",)), Freshness(3.0), Volume(),
    Column("id", "int"), Table("t", (Column("id", "int"),)),
]  # fmt: skip
OF_CONTRACTS = [*ODD, *NESTED, ("a",), ("id", "id"), (1,), ((),), (("a",),), "string", "timestamp", "upper", "fail", "hash"]


def mutated(declared: Any, at: int, value: Any) -> Any:
    """A declaration with another value in one field, or in one of those that it holds."""
    inner = [
        (name.name, position)
        for name in fields(declared)
        if isinstance(parts := getattr(declared, name.name), tuple)
        for position, each in enumerate(parts)
        if isinstance(each, Column | Rule | Reference)
    ]
    if inner and at % 5:
        name, position = inner[at // 5 % len(inner)]
        parts = list(getattr(declared, name))
        parts[position] = mutated(parts[position], at // 7, value)
        return replace(declared, **{name: tuple(parts)})
    names = [field.name for field in fields(declared)]
    return replace(declared, **{names[at % len(names)]: value})


def refused(declare: Any) -> bool:
    """Whether a declaration is refused, in one line; any other error is raised."""
    try:
        declare()
    except ContractError as error:
        assert_one_line(str(ConfigError(f"contracts: {error}")))
        return True
    return False


@bounded(CONTRACTS)
@given(
    module=st.sampled_from(MODULES),
    at=positions,
    changed=st.lists(st.tuples(positions, st.sampled_from(OF_CONTRACTS) | odd), min_size=1, max_size=2),
)
def test_a_mutated_contract_is_used_or_refused(module: ModuleType, at: int, changed: list[Any]) -> None:
    tables = {**module.SOURCES, "EXAMPLES": module.EXAMPLES}
    name = sorted(tables)[at % len(tables)]
    contracts = [tables[name]]
    for position, value in changed:
        if refused(lambda position=position, value=value: contracts.append(mutated(contracts[-1], position, value))):
            return
    tables[name] = contracts[-1]
    declarations: Any = ModuleType("mutated_contracts")
    declarations.EXAMPLES = tables.pop("EXAMPLES")
    declarations.SOURCES = tables
    sys.modules["mutated_contracts"] = declarations
    config = read_config(ROOT / "conf" / f"{module.__name__.rpartition('.')[2]}.yaml")
    try:
        check_config(config.model_copy(update={"contracts": "mutated_contracts"}))
    except ConfigError as error:
        assert_one_line(str(error))
    finally:
        del sys.modules["mutated_contracts"]
