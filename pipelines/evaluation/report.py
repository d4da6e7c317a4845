"""The evaluation report: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2

from pipelines.config import METRICS
from pipelines.evaluation import plots
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import confusion

SHOWN = (*METRICS, "rows")


@dataclass(frozen=True)
class Findings:
    """What an evaluation found: metrics and curves by split, beside another model's figures; and as rows of text (what was
    compared, feature, PSI, KS, change of missing) how features have moved.
    """

    title: str
    facts: dict[str, str]
    history: Sequence[Mapping[str, Any]]
    curves: dict[str, Curve]
    metrics: dict[str, dict[str, float]]
    threshold: float
    classes: tuple[str, str]
    bins: int
    yardstick_name: str
    yardstick: Mapping[str, float]
    drift: Sequence[tuple[str, ...]] = ()


def render(found: Findings) -> str:
    """The report as HTML."""
    text = files("pipelines.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    drawn = {
        "Training": plots.training_plot(found.history),
        "ROC": plots.roc_plot(found.curves),
        "Precision and recall": plots.precision_recall_plot(found.curves),
        "Calibration": plots.calibration_plot(found.curves, found.bins),
    }
    for split, curve in found.curves.items():
        counts = confusion(curve, found.threshold)
        drawn[f"Confusion at {found.threshold:.3f}, {split}"] = plots.confusion_plot(counts, found.classes)
    return template.render(
        found=found, rows=metric_rows([found.metrics[split] for split in found.curves], found.yardstick), plots=drawn
    )


def metric_rows(metrics: Sequence[Mapping[str, float]], yardstick: Mapping[str, float]) -> list[tuple[str, ...]]:
    """A row of text a metric: its name, its value in each of `metrics`, and the yardstick's where it has one."""
    rows = []
    for name in SHOWN:
        form = "{:,.0f}" if name == "rows" else "{:.4f}"
        peer = yardstick.get(name)
        values = (form.format(values[name]) for values in metrics)
        rows.append((name.replace("_", " "), *values, "" if peer is None else f"{peer:.3f}"))
    return rows
