"""The evaluation report: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import jinja2

from pipelines.config import METRICS

COUNTS = ("rows",)


@dataclass(frozen=True)
class Findings:
    """What was found: facts, metrics by column (a split, a baseline, another model), plots as SVG; and as rows of text (what
    was compared, feature, PSI, KS, change of missing) how features have moved, and the most moved one of each of `intervals`.
    """

    title: str
    task: str
    facts: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    plots: Mapping[str, str] = field(default_factory=dict)
    drift: Sequence[tuple[str, ...]] = ()
    intervals: Sequence[tuple[str, ...]] = ()


def render(found: Findings) -> str:
    """The report as HTML."""
    text = files("pipelines.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    return template.render(found=found, rows=metric_rows(found.task, found.metrics))


def metric_rows(task: str, metrics: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """A row of text a metric of a kind of task: its name, and its value in each column that has it."""
    return [
        (name.replace("_", " "), *(_shown(name, values.get(name)) for values in metrics.values()))
        for name in (*METRICS[task], *COUNTS)
    ]


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name in COUNTS else f"{value:.4f}"
