"""Scores as answers: a class with its probability, or numbers; and how much each input moved one."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.bundles.calibration import Calibration
from pipelines.bundles.signature import OutputField
from pipelines.features.fitted import FittedSpec
from pipelines.serving.batcher import Scores
from pipelines.serving.rows import RequestRows, RowSchema

METHOD = (
    "Leave one out: the output for this row, less the output when that input alone is replaced by what the model takes for a "
    "missing one (numbers: the training rows' mean or median; words: unknown). Effects need not add up."
)


def predictions(
    scores: Scores, output: OutputField, threshold: float, calibration: Calibration | None = None
) -> list[dict[str, Any]]:
    """Scores (n,) or (n, outputs) as one answer a row. The threshold counts on the probability before calibration."""
    if output.task == "multiclass":
        return [
            {"class": output.classes[int(row.argmax())], "probabilities": dict(zip(output.classes, row.tolist(), strict=True))}
            for row in scores
        ]
    if output.task == "binary":
        first, second = output.classes
        values = scores.tolist()
        answers = [{"class": second if p >= threshold else first, "probability": p, "threshold": threshold} for p in values]
        if calibration is None:
            return answers
        calibrated = calibration.apply(scores).tolist()
        return [{**answer, "calibrated_probability": p} for answer, p in zip(answers, calibrated, strict=True)]
    key = "value" if scores.ndim == 1 else "values"
    return [{key: value, "unit": output.unit} for value in scores.tolist()]


def replaced_rows(rows: RequestRows, schema: RowSchema, spec: FittedSpec) -> tuple[list[str], RequestRows]:
    """One row once as it is, and once for each input with that input replaced; the inputs' names in that order.

    Images are left out: no model takes a missing one.
    """
    names = [field.name for field in (*schema.numbers, *schema.words, *schema.series) if field.name not in spec.images]
    count = len(names) + 1
    fills = {feature.name: feature.imputed for feature in spec.features if feature.imputed is not None}
    numbers = np.repeat(rows.numbers, count, axis=1)
    words = {name: value * count for name, value in rows.words.items()}
    series = {name: np.repeat(value, count, axis=0) for name, value in rows.series.items()}
    for at, field in enumerate(schema.numbers):
        numbers[at, at + 1] = fills.get(field.name, np.nan)
    for at, name in enumerate(names[len(schema.numbers) :], start=len(schema.numbers) + 1):
        if name in words:
            words[name][at] = ""
        else:
            series[name][at] = fills.get(name, np.nan)
    return names, RequestRows(numbers, words, series)


def effects(scores: Scores, names: list[str]) -> list[dict[str, Any]]:
    """How much each input moved the first row's output, the greatest first: of several outputs, the greatest one's."""
    values = scores if scores.ndim == 1 else scores[:, int(scores[0].argmax())]
    moved = [{"name": name, "effect": float(values[0] - value)} for name, value in zip(names, values[1:], strict=True)]
    return sorted(moved, key=lambda each: -abs(each["effect"]))
