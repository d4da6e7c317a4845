"""A contract's words, types and promises are checked where it is declared, and what is wrong names the choices."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from schemas.contract import Column, ContractError, Conversion, Freshness, Outliers, Reference, Rule, Table, Volume

ID, SHARE, KIND, AT = Column("id", "int"), Column("share", "double"), Column("kind", "string"), Column("at", "timestamp")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "str"}, r"type 'str'; expected one of boolean, int, bigint, float, double, string, date, timestamp, array"),
        ({"severity": "error"}, "severity 'error'; expected one of quarantine, warn, fail"),
        ({"spaces": "strip"}, "spaces 'strip'; expected one of trim, collapse, keep"),
        ({"type": "string", "case": "UPPER"}, "case 'UPPER'; expected one of upper, lower or None"),
        ({"decimal": ";"}, r"decimal ';'; expected one of \., ,"),
        ({"personal": "encrypt"}, "personal 'encrypt'; expected one of hash, drop or None"),
        ({"personal": "hash"}, "personal cannot be given for type int; expected string"),
        ({"repeated_hour": "first"}, "repeated_hour 'first'; expected one of earlier, later, quarantine"),
        ({"nullable": 1}, "nullable 1; expected True or False"),
        ({"name": 5}, "name 5; expected text"),
        ({"unit": 5}, "unit 5; expected text or None"),
        # zones
        ({"type": "timestamp", "zone": "Americas/New_York"}, "zone 'Americas/New_York' is no time zone; expected an IANA name"),
        ({"type": "timestamp", "zone": "America"}, "'America' is no time zone"),
        ({"type": "timestamp", "zone": "posix/Europe/Rome"}, "is no time zone"),
        ({"type": "timestamp", "zone": "../Europe/Rome"}, "is no time zone"),
        ({"type": "timestamp", "zone": ""}, "is no time zone"),
        ({"type": "date", "zone": "UTC"}, "zone cannot be given for type date; expected timestamp"),
        ({"type": "timestamp", "repeated_hour": "later"}, "repeated_hour means nothing without a zone"),
        # bounds
        ({"type": "date", "minimum": 2000}, r"minimum cannot be given for type date; .* a rule such as x >= date'2000-01-01'"),
        ({"type": "timestamp", "maximum": 3}, "maximum cannot be given for type timestamp"),
        (
            {"type": "string", "minimum": 0},
            "minimum cannot be given for type string; expected int or bigint or",
        ),
        ({"type": "boolean", "maximum": 1}, "maximum cannot be given for type boolean"),
        ({"minimum": "3"}, "minimum '3'; expected a finite number or None"),
        ({"minimum": True}, "minimum True; expected a finite number"),
        ({"minimum": float("nan")}, "minimum nan; expected a finite number"),
        ({"minimum": 10**30}, "minimum 1000000000000000000000000000000; expected a finite number"),
        ({"minimum": 5, "maximum": 3}, "minimum 5 is above maximum 3"),
        # allowed
        ({"allowed": ("5", "x")}, "allowed 'x' is no value of type int; expected such values, as text"),
        ({"allowed": ("5000000000",)}, "is no value of type int"),
        ({"allowed": (5,)}, r"allowed \(5,\); expected a tuple of texts"),
        ({"type": "string", "allowed": "abc"}, "allowed 'abc'; expected a tuple of texts"),
        ({"type": "date", "allowed": ("2020-02-30",)}, "allowed '2020-02-30' is no value of type date"),
        ({"type": "timestamp", "allowed": ("noon",)}, "is no value of type timestamp"),
        ({"type": "boolean", "allowed": ("maybe",)}, "is no value of type boolean"),
        ({"type": "double", "allowed": ("nan",)}, "is no value of type double"),
        ({"type": "float", "allowed": ("0.1",)}, "is no value of type float"),
        ({"type": "string", "case": "upper", "allowed": ("a", "B")}, "allowed 'a' cannot occur, since case is upper"),
        # aliases
        ({"aliases": {"a": "b"}}, "aliases cannot be given for type int; expected string"),
        ({"type": "string", "aliases": {"a": 5}}, "aliases .*; expected a mapping of text to text"),
        (
            {"type": "string", "case": "upper", "aliases": {"n.y.": "JFK"}},
            "aliases 'n.y.': case is upper; expected the keys as 'N.Y.'",
        ),
        ({"type": "string", "aliases": {" a": "b"}}, "aliases ' a': spaces are trimmed"),
        # outliers and conversions
        ({"type": "double", "outliers": Outliers("trim")}, r"outliers\.action 'trim'; expected one of clip, flag, quarantine"),  # type: ignore[arg-type]
        ({"type": "double", "outliers": Outliers("clip", low=0.9, high=0.1)}, "outliers between quantiles 0.9 and 0.1"),
        ({"type": "double", "outliers": Outliers("clip", low=float("nan"))}, r"outliers\.low nan; expected a finite number"),
        ({"type": "double", "outliers": Outliers("clip", reach=-1)}, r"outliers\.reach -1; expected 0 or more"),
        ({"outliers": Outliers("clip")}, "outliers cannot be given for type int; expected float or double"),
        ({"type": "double", "outliers": "clip"}, r"outliers 'clip'; expected a Outliers\(…\) or None"),
        ({"type": "double", "received": Conversion("inch", 0)}, r"received\.factor 0"),
        ({"type": "double", "received": Conversion("inch", float("inf"))}, r"received\.factor inf; expected a finite number"),
        ({"type": "double", "pattern": "^1"}, "pattern cannot be given for type double"),
        ({"type": "string", "format": "yyyy"}, "format cannot be given for type string; expected timestamp or date"),
    ],
)
def test_what_a_column_can_not_be_names_the_choices(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=rf"^column \w+: .*{message}"):
        Column(**{"name": "x", "type": "int", **given})


@pytest.mark.parametrize(
    "given",
    [
        {"type": "timestamp", "zone": "America/New_York", "repeated_hour": "later"},
        {"type": "timestamp", "zone": "+02:00"},
        {"type": "timestamp", "format": "dd/MM/yyyy HH:mm", "allowed": ("2020-01-31", "2020-01-31T06:00:00Z")},
        {"type": "date", "format": "dd.MM.yyyy", "allowed": ("2020-01-31",)},
        {"type": "int", "allowed": ("5", "-3"), "minimum": 0.5, "pattern": "^5"},
        {"type": "float", "allowed": ("0.5",)},
        {"type": "boolean", "allowed": ("true",)},
        {"type": "string", "case": "upper", "aliases": {"N.Y.": "JFK"}, "allowed": ("JFK", "EWR")},
        {"type": "string", "case": "upper", "aliases": {"N.Y.": "Jfk"}, "allowed": ("Jfk",)},
        {"type": "string", "spaces": "keep", "aliases": {" a": "b"}, "personal": "hash"},
    ],
)
def test_what_a_column_can_be_is_taken(given: dict[str, Any]) -> None:
    column = Column(**{"name": "x", **given})
    assert {name: getattr(column, name) for name in given} == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a b"}, "name 'a b' can't be part of a table's; expected letters of a to z, digits and _"),
        ({"key": "id"}, "key 'id'; expected a tuple of texts"),
        ({"key": ("id", "id")}, "key names id twice"),
        ({"latest_by": "share"}, "latest_by 'share'; expected a tuple"),
        ({"unique": ("id", "share")}, r"unique \('id', 'share'\); expected a tuple of a tuple"),
        ({"unique": ((),)}, r"unique\[0\] names no column"),
        ({"columns": ()}, "it has no column"),
        ({"columns": ID}, r"columns Column\(.*; expected a tuple of a Column"),
        ({"null_tokens": "NA"}, "null_tokens 'NA'; expected a tuple of texts"),
        ({"null_tokens": (" NA",)}, "null_tokens ' NA': texts are compared without spaces around"),
        ({"event_time": "share"}, "event_time share is of type double; expected a timestamp"),
        ({"freshness": Freshness(-1), "event_time": "at"}, r"freshness\.hours -1; expected 0 to"),
        ({"freshness": Freshness(1e300), "event_time": "at"}, r"freshness\.hours 1e\+300"),
        ({"freshness": Freshness(1, "error"), "event_time": "at"}, r"freshness\.severity 'error'; expected"),  # type: ignore[arg-type]
        ({"volume": Volume(severity="error")}, r"volume\.severity 'error'; expected one of warn, fail"),  # type: ignore[arg-type]
        ({"volume": Volume(low=3)}, "volume from 3 to 2; expected 0 <= low <= high"),
        ({"volume": Volume(runs=0)}, r"volume\.runs 0; expected 1 or more"),
        ({"rules": Rule("r", "id > 3")}, r"rules Rule\(.*; expected a tuple of a Rule"),
        ({"rules": (Rule("r", "id > 3", "error"),)}, "rule 'r': severity 'error'; expected one of quarantine, warn, fail"),  # type: ignore[arg-type]
        ({"rules": (Rule("", "id > 3"),)}, "rule '': it has no name"),
        ({"rules": (Rule("r", "id > 3"), Rule("r", "id > 4"))}, "rules: 'r' is there twice"),
        (
            {"rules": (Rule("r", "id > 3 and idd < 5"),)},
            "rule 'r': 'id > 3 and idd < 5' names no column idd; expected",
        ),
        ({"rules": (Rule("r", "id + 1"),)}, "rule 'r': 'id . 1' gives the result of a calculation; expected what is"),
        (
            {"references": (Reference(("id",), "t", ("a", "b")),)},
            "reference to 't': columns id to a, b; expected as many",
        ),
        ({"references": (Reference(None, "t", ("a",)),)}, "reference to 't': columns None; expected a tuple"),  # type: ignore[arg-type]
        ({"references": (Reference(("id",), "t", ("a",), "error"),)}, "reference to 't': severity 'error'; expected one of"),  # type: ignore[arg-type]
        ({"references": (Reference(("id",), "t", ("a",)), Reference(("id",), "t", ("b",)))}, "references: two of the same"),
    ],
)
def test_what_a_contract_can_not_be_names_the_choices(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=rf"^contract [^:]+: {message}"):
        Table(**{"name": "t", "columns": (ID, SHARE, KIND, AT), **given})


def test_a_day_as_event_time_is_refused_and_the_way_out_is_a_midnight() -> None:
    with pytest.raises(ContractError, match="event_time at is of type date; expected a timestamp") as caught:
        Table("t", (replace(AT, type="date"),), event_time="at")
    way_out = re.search(r"Column\(.*\)", str(caught.value))
    assert way_out and Table("t", (eval(way_out[0]),), event_time="at")
