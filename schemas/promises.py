"""What a contract's keys, rules, references and promises about whole intervals may be: problems as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from schemas.sql import sql_problem
from schemas.vocabulary import misfits, shown

if TYPE_CHECKING:
    from schemas.contract import Table

MOST_HOURS = 24 * 366 * 100
NAMED = ("key", "latest_by", "partition_by", "sorted_by")


def table_problems(table: Table) -> list[str]:
    """What is wrong with a contract's declaration, a sentence each; columns that it does not have are looked for elsewhere."""
    if problems := misfits(table):
        return problems
    if problems := [problem for check in (_wrong_rules, _wrong_references) for problem in check(table)]:
        return problems
    checks = (_wrong_names, _wrong_event_time, _wrong_tokens, _wrong_promises)
    return [problem for check in checks for problem in check(table)]


def _repeated(names: Iterable[str]) -> list[str]:
    known = list(names)
    return sorted({name for name in known if known.count(name) > 1})


def _wrong_rules(table: Table) -> Iterator[str]:
    types = {column.name: column.type for column in table.columns}
    for rule in table.rules:
        within = f"rule {shown(rule.name)}: "
        if problems := misfits(rule, within):
            yield from problems
        elif not rule.name.strip():
            yield f"{within}it has no name; expected a short sentence, which reasons and broken_rules show."
        elif problem := sql_problem(rule.holds, types, truth=True):
            yield f"{within}{shown(rule.holds)} {problem}."
    if repeated := _repeated(rule.name for rule in table.rules if isinstance(rule.name, str)):
        yield f"rules: {', '.join(map(shown, repeated))} is there twice; expected names that tell rules apart."


def _wrong_references(table: Table) -> Iterator[str]:
    for reference in table.references:
        within = f"reference to {shown(reference.source)}: "
        if problems := misfits(reference, within):
            yield from problems
        elif not reference.columns or len(reference.columns) != len(reference.to):
            yield (
                f"{within}columns {', '.join(reference.columns) or 'none'} to {', '.join(reference.to) or 'none'}; expected as "
                f"many of both, one or more."
            )
    fit = [reference for reference in table.references if not misfits(reference)]
    named = [(tuple(reference.columns), reference.source) for reference in fit]
    if len(set(named)) < len(named):
        yield "references: two of the same columns to one source; expected one of them."


def _wrong_names(table: Table) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9_]+", table.name):
        yield f"name {shown(table.name)} can't be part of a table's; expected letters of a to z, digits and _."
    if not table.columns:
        yield "it has no column; expected at least one."
    lists = {**{key: getattr(table, key) for key in NAMED}, **{f"unique[{at}]": c for at, c in enumerate(table.unique)}}
    for key, names in lists.items():
        if repeated := _repeated(names):
            yield f"{key} names {', '.join(repeated)} twice; expected each column once."
        if key.startswith("unique") and not names:
            yield f"{key} names no column; expected some, or no entry."


def _wrong_event_time(table: Table) -> Iterator[str]:
    types = {column.name: column.type for column in table.columns}
    type_ = types.get(str(table.event_time), "timestamp")
    if type_ != "timestamp":
        day = f" A day alone is read as its midnight: Column('{table.event_time}', 'timestamp', zone='America/New_York')."
        yield (
            f"event_time {table.event_time} is of type {type_}; expected a timestamp, which tells in which interval a row is."
            f"{day if type_ == 'date' else ''}"
        )


def _wrong_tokens(table: Table) -> Iterator[str]:
    if never := [token for token in table.null_tokens if token != token.strip(" ")]:
        yield f"null_tokens {', '.join(map(shown, never))}: texts are compared without spaces around; expected tokens without."


def _wrong_promises(table: Table) -> Iterator[str]:
    if table.freshness and not 0 <= table.freshness.hours <= MOST_HOURS:
        yield f"freshness.hours {table.freshness.hours:g}; expected 0 to {MOST_HOURS:,}."
    if table.volume and not 0 <= table.volume.low <= table.volume.high:
        yield f"volume from {table.volume.low:g} to {table.volume.high:g}; expected 0 <= low <= high."
    if table.volume and table.volume.runs < 1:
        yield f"volume.runs {table.volume.runs}; expected 1 or more."
