"""Examples for docs/configuration.md: from conf/*.yaml where one has the keys, else from `MORE`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from setup.documented import Tag
from setup.type_words import written

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = ("flights", "weather", "digits", "sentiment", "flights_sources", "flights_nightly")
ANY_NAME = "<name>"
MOST_NAMED = 2  # of many features or sources, so many make an example
LINE = 100

MORE = """
sources:
  events: {kind: jsonl, path: "events/{from:%Y-%m-%d}/*.json.gz", every: day, drift: add}
  stays: {kind: parquet, path: s3a://bucket/stays, rename: {stayId: stay_id}}
features:
  split: {by: column, column: part}
  boolean: {is_weekend: {}}
  ordinal: {cabin: {order: [economy, business, first]}}
  target: {carrier: {smoothing: 50}}
  bucketized: {age: {edges: [18, 30, 65]}}
  crossed: {route: {of: [origin, dest], max_size: 5000}}
  hashed: {user_id: {buckets: 65536}}
drift:
  psi: {warn: 0.1, fail: 0.25}
train:
  loss: {name: focal, gamma: 2.0}
registry:
  champion: {metric: auc, margin: 0.005}
maintain: {snapshot_days: 14, raw_days: 90}
status: {max_age: 26h, max_event_age: 3 days, tables: {scores: 26h}}
notify: {url: RINGMILL_WEBHOOK, events: [failed, stale]}
openlineage:
  transport: {type: http, url: "https://marquez.example", api_key: OPENLINEAGE_API_KEY}
spark: {event_log: s3a://bucket/events, prometheus_port: 4040}
---
openlineage:
  transport: {type: file, path: lineage.jsonl}
sources:
  hotels: {kind: rest, url: "https://api.example/hotels", paging: {by: page, size: 500}}
train:
  loss: {name: cross_entropy}
---
sources:
  rooms: {kind: rest, url: "https://api.example/rooms", paging: {by: link}}
train:
  loss: {name: squared}
---
sources:
  rates: {kind: rest, url: "https://api.example/rates.json", paging: {by: none}}
train:
  loss: {name: absolute}
---
train:
  loss: {name: huber, delta: 1.5}
---
train:
  loss: {name: quantile, quantile: 0.9}
"""
DECLARATIONS = {
    "Column": 'Column("dep_delay", "double", unit="minutes", minimum=-120, maximum=3000, severity="warn")',
    "Rule": 'Rule("an arrived flight has departed", "arr_delay is null or dep_delay is not null")',
    "Reference": 'Reference(("dest",), "airports", ("faa",), "warn")',
    "Conversion": 'Column("distance", "double", unit="kilometers", received=Conversion("miles", factor=1.609344))',
    "Outliers": 'Column("price", "double", outliers=Outliers("clip", low=0.25, high=0.75, reach=1.5))',
    "Freshness": "Freshness(hours=6)",
    "Volume": 'Volume(low=0.8, high=1.25, runs=14, severity="fail")',
}
"""What declares each part of a contract but the table, which comes from schemas/flights.py."""


class Example(NamedTuple):
    """An example's text, and where it is from; empty where it is written for the page."""

    text: str
    source: str


def example_of(path: tuple[str, ...], tag: Tag | None = None) -> Example | None:
    """The first example at a path of keys, of which `<name>` is any, if possible one with keys of its own; with a tag, one of a
    section that has it.
    """
    fitting = [
        Example(_nested(keys, _cut(node)), source)
        for source, document in _documents()
        for keys, node in _nodes(document, path)
        if tag is None or _has(node, tag)
    ]
    return next((example for example in fitting if not example.text.endswith("{}")), fitting[0] if fitting else None)


def table_example() -> Example:
    """The declaration of a table in schemas/flights.py."""
    text = (ROOT / "schemas" / "flights.py").read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "AIRLINES":
            return Example(str(ast.get_source_segment(text, node)), "schemas/flights.py")
    raise LookupError("schemas/flights.py has no AIRLINES; expected the table that docs/configuration.md shows")


@cache
def _documents() -> tuple[tuple[str, dict[str, Any]], ...]:
    files = {f"conf/{name}.yaml": (ROOT / "conf" / f"{name}.yaml").read_text(encoding="utf-8") for name in PIPELINES}
    read = tuple((source, yaml.safe_load(text)) for source, text in files.items())
    return (*read, *(("", document) for document in yaml.safe_load_all(MORE)))


def _nodes(node: Any, path: tuple[str, ...], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What lies at a path, with the keys that lead there."""
    if not path:
        yield keys, node
    elif isinstance(node, Mapping):
        for key in node if path[0] == ANY_NAME else (path[0],):
            if key in node:
                yield from _nodes(node[key], path[1:], (*keys, key))


def _has(node: Any, tag: Tag) -> bool:
    if not isinstance(node, Mapping):
        return False
    return tag.key in node if tag.value is None else node.get(tag.key, tag.default) == tag.value


def _cut(node: Any) -> Any:
    """A section, with no more than a few of those that are alike in it."""
    if not isinstance(node, Mapping):
        return node
    several = len(node) > MOST_NAMED and all(isinstance(each, Mapping) for each in node.values())
    return {key: _cut(value) for key, value in list(node.items())[: MOST_NAMED if several else None]}


def _nested(keys: tuple[str, ...], node: Any) -> str:
    above = [f"{'  ' * depth}{written(key)}:" for depth, key in enumerate(keys[:-1])]
    return "\n".join([*above, *_lines(keys[-1], node, "  " * len(above))])


def _lines(key: str, node: Any, indent: str) -> Iterator[str]:
    """A key and its value: in one line, or, where that is too long, a line for each key of the value."""
    line = f"{indent}{written(key)}: {written(node)}"
    if len(line) <= LINE or not isinstance(node, Mapping):
        yield line
        return
    yield f"{indent}{written(key)}:"
    for name, value in node.items():
        yield from _lines(name, value, f"{indent}  ")
