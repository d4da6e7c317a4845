"""The model card: what a model was trained on, how well it did, and what it must not be trusted with."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.bundles.calibration import CalibrationEffect
from pipelines.bundles.signature import InputField
from pipelines.config import Model


class TrainingData(Model):
    """Where a model's rows came from: `sources` in the words of the contracts' module, which names the data's licence."""

    title: str = ""
    contracts: str = ""
    sources: str = ""
    interval: tuple[str, str] | None = None
    split: str = ""
    rows: Mapping[str, int] = {}
    features_snapshot: int | None = None
    feature_run: str | None = None


class ModelCard(Model, allow_inf_nan=True):
    """What people should know before they use a model. `metrics` are those of the epoch that was kept, on validation rows;
    `calibration` is what the folder's calibration changes on test rows.
    """

    title: str
    pipeline: str
    run_id: str
    task: str
    data: TrainingData
    metrics: dict[str, float]
    limits: tuple[str, ...]
    calibration: CalibrationEffect | None = None


def limits_of(inputs: tuple[InputField, ...], data: TrainingData, onnx_limit: str | None) -> tuple[str, ...]:
    """What a model's inputs and data say of its limits, a sentence each."""
    history = [field.name for field in inputs if field.from_history]
    limits = ["Missing values are replaced by values of the training rows, and words that those rows lack count as unknown."]
    if data.interval:
        limits.append(f"It was trained on rows from {data.interval[0]} to {data.interval[1]}; later rows may differ.")
    if history:
        limits.append(f"These inputs are computed from other rows, as the batch derivation does: {', '.join(history)}.")
    if onnx_limit:
        limits.append(f"{onnx_limit}.")
    return tuple(limits)


def model_card(
    facts: Mapping[str, object], inputs: tuple[InputField, ...], data: TrainingData, onnx_limit: str | None
) -> ModelCard:
    """The card of a model from the manifest's facts: its run, its task, and the numbers of its best epoch.

    `onnx_limit` says what the model lacks as ONNX, if anything.
    """
    task = facts.get("task")
    numbers = {name: float(value) for name, value in facts.items() if type(value) in (int, float)}  # type: ignore[arg-type]
    return ModelCard(
        title=data.title or str(facts.get("pipeline", "")),
        pipeline=str(facts.get("pipeline", "")),
        run_id=str(facts.get("run_id", "")),
        task=str(task.get("kind", "")) if isinstance(task, dict) else "",
        data=data,
        metrics=numbers,
        limits=limits_of(inputs, data, onnx_limit),
    )
