"""docs/configuration.md: it is what the models say, each key has a meaning, and its examples are accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import pytest
import yaml
from pydantic import Field, ValidationError

from pipelines.config import Model, Pipeline
from pipelines.io.sources.kinds import KINDS
from schemas import contract
from setup.configuration_docs import PAGE, page
from setup.documented import MissingMeaningError, fields_of
from setup.type_words import MissingWordsError, in_words

TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
EXAMPLES = {language: [text for of, text in BLOCK.findall(TEXT) if of == language] for language in ("yaml", "python")}
KEYS = {key: (type_, default, meaning) for key, type_, default, meaning in ROW.findall(TEXT)}


class Timer(Model):
    """A section with a field that nobody has described."""

    seconds: int
    """How long it waits, in seconds."""
    loud: bool = False


@dataclass(frozen=True)
class Alarm:
    """A declaration with a field that nobody has described."""

    tone: str


def test_the_page_is_what_make_docs_writes() -> None:
    assert page() == TEXT, "docs/configuration.md is stale. Run `make docs`."


@pytest.mark.parametrize(("declared", "field"), [(Timer, "Timer.loud"), (Alarm, "Alarm.tone")])
def test_a_field_without_a_meaning_is_an_error_that_names_it(declared: type, field: str) -> None:
    with pytest.raises(MissingMeaningError, match=field):
        list(fields_of(declared))


def test_a_type_without_words_is_an_error_that_names_it() -> None:
    assert in_words(Annotated[timedelta, Field(description="span such as 2h")]) == "span such as 2h"
    with pytest.raises(MissingWordsError, match="timedelta"):
        in_words(timedelta | None)


def test_a_meaning_is_the_string_below_its_field() -> None:
    assert next(fields_of(Timer)).meaning == "How long it waits, in seconds."


@pytest.mark.parametrize("text", EXAMPLES["yaml"])
def test_an_example_is_accepted_but_for_keys_that_it_leaves_out(text: str) -> None:
    content = yaml.safe_load(text)
    assert refusals(Pipeline, content) == []
    for section in content.get("sources", {}).values():
        assert refusals(KINDS[section.get("kind", "rest")], section) == []  # paging alone is shown of a JSON API


def test_examples_with_an_unknown_key_or_a_wrong_value_are_refused() -> None:
    assert refusals(Pipeline, {"train": {"network": {"hiden": [8]}}}) == ["train.network.hiden"]
    assert refusals(Pipeline, {"evaluate": {"replicates": -1}}) == ["evaluate.replicates"]
    assert refusals(KINDS["rest"], {"paging": {"by": "page", "sise": 5}}) == ["paging.page.sise"]


@pytest.mark.parametrize("text", EXAMPLES["python"])
def test_an_example_of_a_contract_can_be_declared(text: str) -> None:
    exec(text, dict(vars(contract)))


@pytest.mark.parametrize(
    ("key", "type_", "default"),
    [
        ("pipeline", "text, like `^[a-z][a-z0-9_]*$`", "required"),
        ("sources.<name>.lookback", "span of time such as 90m, 2h or 1d", "`0s`"),
        ("sources.<name>.paging.by", "`none`", "required"),
        ("features.numeric.<name>.impute", "one of `mean`, `median` or number", "`median`"),
        ("features.bucketized.<name>.edges", "list of numbers, at least 1 of them, at most 64", "required"),
        ("drift.psi", "section", "`{warn: 0.25}`"),
        ("drift.psi.warn", "number, above 0", "`null`"),
        ("interval", "section ([keys](#interval))", "all data"),
        ("interval.from", "day or time, such as 2013-01-31 or 2013-01-31T06:00", "required"),
        ("train.channel_port", "whole number, 0 to 65,535", "`0`"),
        ("train.class_weights", "by name, a number, above 0", "`{}`"),
        ("registry.champion", "section or `null` ([keys](#registrychampion))", "its own defaults"),
        ("minimum", "number", "`null`"),
        ("null_tokens", "list of texts", "`['', NA]`"),
    ],
)
def test_a_key_has_its_type_with_limits_and_its_default(key: str, type_: str, default: str) -> None:
    assert KEYS[key][:2] == (type_, default)


def test_a_field_of_a_column_says_for_which_types_it_is() -> None:
    assert KEYS["aliases"][2].endswith(" For columns of type string.")
    assert KEYS["minimum"][2] == "Least valid value. For columns of type int, bigint, float, double."


def test_links_lead_to_headings() -> None:
    headings = [
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in TEXT.splitlines() if line[:1] == "#"
    ]
    assert len(set(headings)) == len(headings)
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= set(headings)


def refusals(model: type[Model], content: object) -> list[str]:
    """The keys for which a part of a configuration is refused, but for those that are missing in it."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        return list(_paths(error))
    return []


def _paths(error: ValidationError) -> Iterator[str]:
    for detail in error.errors():
        if detail["type"] != "missing":
            yield ".".join(map(str, detail["loc"]))
