"""What the gate decides by, from tables and bundles: evaluate reports on it, publish decides by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from pipelines.config import ChampionGate, Model
from pipelines.io.filesystem import read_bytes
from pipelines.registry.digest import verified_manifest
from pipelines.registry.gate import Comparison, Evidence, features_drift
from pipelines.registry.versions import ModelVersion
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.steps.evaluation.comparison import compare
from schemas import tables


class Measured(NamedTuple):
    """A trained model with its bundle, the bundle's hash, and its metrics on test."""

    train: Run
    uri: str
    hash: str
    metrics: Mapping[str, float]


class StoredComparison(Model):
    """A comparison that evaluate made, and what it depends on: publish makes it anew where one of these is another."""

    champion_version: int
    champion_hash: str
    gate: ChampionGate
    bins: int
    comparison: Comparison


def gather_evidence(context: Context, model: Measured, comparison: Comparison | None) -> Evidence:
    """The evidence on a model; raises BundleError when its bundle is not whole.

    The drift is that of the features on which it was trained.
    """
    compared = {"compared": "test", "reference_run_id": model.train.inputs["features"]}
    drift = features_drift(context.lake.rows(tables.DRIFT_METRICS, context.whose_interval | compared))
    return Evidence(model.metrics, _parity(verified_manifest(model.uri)), drift, comparison)


def rival(context: Context, model: Measured, champion: ModelVersion | None) -> ModelVersion | None:
    """The champion that a model is to be compared with: none where the gate leaves that out, or where it is this very model."""
    if champion is None or context.config.registry.champion is None:
        return None
    return None if champion.hash == model.hash or champion.train_run_id == model.train.run_id else champion


def compare_with(context: Context, model: Measured, champion: ModelVersion) -> StoredComparison:
    """Score the test rows by both models; raises what `compare` raises."""
    gate = context.config.registry.champion or ChampionGate()
    comparison = compare(context, model.uri, champion, gate, model.metrics.get("threshold"))
    return StoredComparison(
        champion_version=champion.version,
        champion_hash=champion.hash,
        gate=gate,
        bins=context.config.evaluate.calibration_bins,
        comparison=comparison,
    )


def stored_comparison(context: Context, uri: str | None, champion: ModelVersion) -> Comparison | None:
    """The comparison that evaluate kept at `uri`, where it is with this champion by the present settings; otherwise none."""
    if uri is None:
        return None
    try:
        stored = StoredComparison.model_validate_json(read_bytes(uri))
    except (OSError, ValidationError):
        return None
    wanted = (champion.version, champion.hash, context.config.registry.champion, context.config.evaluate.calibration_bins)
    return stored.comparison if wanted == (stored.champion_version, stored.champion_hash, stored.gate, stored.bins) else None


def _parity(manifest: dict[str, Any]) -> dict[str, float]:
    """The differences that the parity gate found before the bundle was published, by what was compared."""
    spark, onnx = manifest.get("parity") or {}, manifest.get("onnx") or {}
    differences = {
        "Spark's features and the SavedModel's": spark.get("difference") if spark.get("rows") else None,
        "Spark's features and the ONNX model's": onnx.get("features"),
        "the SavedModel's scores and the ONNX model's": onnx.get("scores"),
    }
    return {what: float(value) for what, value in differences.items() if value is not None}
