"""The evaluation report: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2

from pipelines.config import METRICS
from pipelines.evaluation.bootstrap import ConfidenceInterval

COUNTS = ("rows",)
TONES = {"better": ' class="good"', "worse": ' class="bad"'}


class Grid(NamedTuple):
    """A table of text: its heading, its columns, its rows, and a sentence on it; the first `words` columns are words, the
    others numbers.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: int = 1


class Tile(NamedTuple):
    """A number that is seen first: what it is, the number, a few words on it, and a tone: good, bad or none."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Findings:
    """What the report shows: a verdict in words and whether the gate was passed, and the same in tiles; facts; metrics by
    column (a split, a baseline, another model) with their intervals; tables before and after the plots; plots as SVG; as rows
    of text (what was compared, feature, PSI, KS, change of missing) how features have moved, and the most moved one of each of
    `intervals`; and settings.
    """

    title: str
    task: str
    facts: Mapping[str, str]
    verdict: str = ""
    passed: bool | None = None
    tiles: Sequence[Tile] = ()
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, ConfidenceInterval]] = field(default_factory=dict)
    first: Sequence[Grid] = ()
    plots: Mapping[str, str] = field(default_factory=dict)
    grids: Sequence[Grid] = ()
    drift: Sequence[tuple[str, ...]] = ()
    intervals: Sequence[tuple[str, ...]] = ()
    settings: Sequence[tuple[str, str]] = ()


def render(findings: Findings) -> str:
    """Render the findings as one HTML page."""
    text = files("pipelines.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    moved = ("compared", "feature", "PSI", "KS", "missing")
    drift = [
        Grid("Features that moved most from the train split", moved, findings.drift, words=2),
        Grid("Intervals held against this training, each by what moved most", moved, findings.intervals, words=2),
    ]
    metrics = Grid("Metrics", ("metric", *findings.metrics), metric_rows(findings.task, findings.metrics))
    return template.render(
        findings=findings,
        tones=TONES,
        first=[grid for grid in findings.first if grid.rows],
        metrics=metrics if findings.metrics else None,
        bounds=bound_rows(findings.task, findings.metrics, findings.bounds),
        grids=[grid for grid in (*findings.grids, *drift) if grid.rows],
    )


def metric_rows(task: str, metrics: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """A row of text a metric of a kind of task: its name, and its value in each column that has it."""
    return [
        (name.replace("_", " "), *(_shown(name, values.get(name)) for values in metrics.values()))
        for name in (*METRICS[task], *COUNTS)
    ]


def bound_rows(
    task: str, metrics: Mapping[str, Mapping[str, float]], bounds: Mapping[str, Mapping[str, ConfidenceInterval]]
) -> list[tuple[str, ...]]:
    """The intervals of the cells of `metric_rows`, as text; empty for a cell without one."""
    columns = [bounds.get(column, {}) for column in metrics]
    return [("", *(shown_bounds(intervals.get(name)) for intervals in columns)) for name in (*METRICS[task], *COUNTS)]


def shown_bounds(interval: ConfidenceInterval | None) -> str:
    """An interval's bounds as text; empty where there are none."""
    return "" if interval is None or interval.low != interval.low else f"{interval.low:.4f} to {interval.high:.4f}"


def flattened(name: str, value: Any) -> list[tuple[str, str]]:
    """A setting and all below it, each by its path and as text."""
    if isinstance(value, Mapping):
        return [pair for key, below in value.items() for pair in flattened(f"{name}.{key}" if name else str(key), below)]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(", ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in value))]
    return [(name, str(value))]


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name in COUNTS else f"{value:.4f}"
