"""Raw rows that no data has, made of those that it has, for the parity gate: missing values, bounds, odd words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.features.arrays import ArrowRows
from pipelines.features.batches import apply
from pipelines.features.fitted import FittedSpec
from pipelines.features.fitted import Raw as RawKind
from pipelines.training.job import Raw, Sample, Value

ROWS = 256
REPLACED = 3  # values of a row
MISSING = 0.15
SPREAD = 0.5  # beyond the sampled values, in shares of their span
ODD_WORDS = ("", " ", "[UNK]", "é", "e\u0301", "東京", "ΣΑΣ", "İ", "a\x1fb", "it's, isn't it?", "word " * 50)


class _Seen(NamedTuple):
    """What the samples have of an input: its values, and the least and greatest number among them or their steps."""

    values: list[Value]
    low: float
    high: float


def generated_samples(spec: FittedSpec, samples: Sequence[Sample], rows: int = ROWS, seed: int = 0) -> list[Sample]:
    """Sampled rows with some of their values replaced, each with the features that tasks make of it; none without samples.

    A row that would be refused, since a number in it is not finite, is left out.
    """
    if not samples:
        return []
    random = np.random.default_rng(seed)
    seen = {name: _seen([sample.raw.get(name) for sample in samples]) for name in spec.inputs}
    raw = [_mutated(samples[int(random.integers(len(samples)))].raw, spec, seen, random) for _ in range(rows)]
    features = apply(spec, ArrowRows(_table(spec, raw)))
    accepted = features.accepted if features.refused else np.ones(rows, np.bool_)
    return [
        Sample(raw=raw[row], features={name: values[row].tolist() for name, values in features.columns.items()})
        for row in np.flatnonzero(accepted)
    ]


def _seen(column: Sequence[Value | None]) -> _Seen:
    values = [value for value in column if value is not None]
    steps = [step for value in values for step in (value if isinstance(value, list) else [value])]
    numbers = [float(step) for step in steps if isinstance(step, int | float)]
    return _Seen(values, min(numbers), max(numbers)) if numbers else _Seen(values, -1.0, 1.0)


def _mutated(row: Raw, spec: FittedSpec, seen: Mapping[str, _Seen], random: np.random.Generator) -> Raw:
    names = random.choice(list(spec.inputs), min(REPLACED, len(spec.inputs)), replace=False)
    return {**row, **{str(name): _value(str(name), spec, seen[name], random) for name in names}}


def _value(name: str, spec: FittedSpec, seen: _Seen, random: np.random.Generator) -> Value | None:
    raw = spec.inputs[name]
    if name in spec.images:
        return seen.values[int(random.integers(len(seen.values)))] if seen.values else None  # no other text is a PNG
    if raw.length is not None:
        return [_number(seen, random) for _ in range(raw.length)]
    if raw.dtype == "float64":
        return _number(seen, random)
    if random.random() < MISSING:
        return None
    known = [word for feature in spec.features if name in feature.inputs for word in feature.words or ()]
    words = [*ODD_WORDS, *known[:50], *map(str, seen.values[:50])]
    return words[int(random.integers(len(words)))]


def _number(seen: _Seen, random: np.random.Generator) -> float | None:
    if random.random() < MISSING:
        return None
    bounds = (seen.low, seen.high, 0.0, -0.0)
    beyond = SPREAD * (seen.high - seen.low)
    if random.random() < MISSING:
        return float(bounds[int(random.integers(len(bounds)))])
    return float(random.uniform(seen.low - beyond, seen.high + beyond))


def _table(spec: FittedSpec, rows: Sequence[Raw]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], _type(raw)) for name, raw in spec.inputs.items()})


def _type(raw: RawKind) -> Any:
    kind = pa.string() if raw.dtype == "string" else pa.float64()
    return kind if raw.length is None else pa.list_(kind)
