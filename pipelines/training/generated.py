"""Raw rows that no data has, made of those that it has, for the parity gate: missing values, bounds, odd words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
Column = Sequence[Value | None]


def generated_samples(spec: FittedSpec, samples: Sequence[Sample], rows: int = ROWS, seed: int = 0) -> list[Sample]:
    """Sampled rows with some of their values replaced, each with the features that tasks make of it; none without samples.

    A row that would be refused, since a number in it is not finite, is left out.
    """
    if not samples:
        return []
    random = np.random.default_rng(seed)
    columns = {name: [sample.raw.get(name) for sample in samples] for name in spec.inputs}
    raw = [_mutated(samples[int(random.integers(len(samples)))].raw, spec, columns, random) for _ in range(rows)]
    features = apply(spec, ArrowRows(_table(spec, raw)))
    accepted = features.accepted if features.refused else np.ones(rows, np.bool_)
    return [
        Sample(raw=raw[row], features={name: values[row].tolist() for name, values in features.columns.items()})
        for row in np.flatnonzero(accepted)
    ]


def _mutated(row: Raw, spec: FittedSpec, columns: Mapping[str, Column], random: np.random.Generator) -> Raw:
    names = random.choice(list(spec.inputs), min(REPLACED, len(spec.inputs)), replace=False)
    return {**row, **{str(name): _value(str(name), spec, columns, random) for name in names}}


def _value(name: str, spec: FittedSpec, columns: Mapping[str, Column], random: np.random.Generator) -> Value | None:
    raw, present = spec.inputs[name], [value for value in columns[name] if value is not None]
    if name in spec.images:
        return present[int(random.integers(len(present)))] if present else None  # no other text is a PNG
    if raw.length is not None:
        steps = [step for value in present if isinstance(value, list) for step in value if step is not None]
        return [_number(steps, random) for _ in range(raw.length)]
    if raw.dtype == "float64":
        return _number([float(value) for value in present if isinstance(value, int | float)], random)
    if random.random() < MISSING:
        return None
    known = [word for feature in spec.features if name in feature.inputs for word in feature.words or ()]
    words = [*ODD_WORDS, *known[:50], *map(str, present[:50])]
    return words[int(random.integers(len(words)))]


def _number(present: Sequence[float], random: np.random.Generator) -> float | None:
    if random.random() < MISSING:
        return None
    low, high = (min(present), max(present)) if present else (-1.0, 1.0)
    bounds = (low, high, 0.0, -0.0)
    beyond = SPREAD * (high - low)
    if random.random() < MISSING:
        return float(bounds[int(random.integers(len(bounds)))])
    return float(random.uniform(low - beyond, high + beyond))


def _table(spec: FittedSpec, rows: Sequence[Raw]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], _type(raw)) for name, raw in spec.inputs.items()})


def _type(raw: RawKind) -> Any:
    kind = pa.string() if raw.dtype == "string" else pa.float64()
    return kind if raw.length is None else pa.list_(kind)
