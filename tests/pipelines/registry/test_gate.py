"""The gate: each bound refuses, and every reason is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pipelines.config import EvaluateConfig, RegistryConfig
from pipelines.registry.gate import Comparison, Evidence, refusals

METRICS = {"auc": 0.7, "log_loss": 0.5, "calibration_error": 0.02}
PARITY = {"Spark's features and the SavedModel's": 1e-7}
DRIFT = {"temp": {"psi": 0.1, "ks": 0.2, "missing": -0.3}, "word": {"psi": 0.4, "ks": None, "missing": 0.0}}


def reasons(registry: Mapping[str, Any], evaluate: Mapping[str, Any] | None = None, **evidence: Any) -> tuple[str, ...]:
    """The gate's reasons against a model whose figures are those above, but for what is given."""
    content = {"metrics": METRICS, "parity": PARITY, "drift": DRIFT, **evidence}
    return refusals(Evidence(**content), RegistryConfig.model_validate(registry), EvaluateConfig.model_validate(evaluate or {}))


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ({}, []),
        ({"minimum": {"auc": 0.7}, "maximum": {"log_loss": 0.5}, "calibration_error": 0.02}, []),
        ({"minimum": {"auc": 0.71}}, ["auc on test is 0.7000; registry.minimum.auc is 0.71"]),
        ({"maximum": {"log_loss": 0.4}}, ["log_loss on test is 0.5000; registry.maximum.log_loss is 0.4"]),
        ({"calibration_error": 0.01}, ["calibration_error on test is 0.0200; registry.calibration_error is 0.01"]),
        ({"minimum": {"f1": 0.1}}, ["f1 on test is nan; registry.minimum.f1 is 0.1"]),
        ({"parity": 1e-8}, ["Spark's features and the SavedModel's differ by 1e-07; registry.parity is 1e-08"]),
        ({"drift": {"psi": 0.4, "ks": 0.2, "missing": 0.3}}, []),
        ({"drift": {"psi": 0.05}}, ["psi of word 0.400, temp 0.100 from train to test; registry.drift.psi is 0.05"]),
        ({"drift": {"missing": 0.2}}, ["missing of temp 0.300 from train to test; registry.drift.missing is 0.2"]),
    ],
)
def test_a_bound_that_is_broken_is_a_reason(registry: Mapping[str, Any], expected: list[str]) -> None:
    assert list(reasons(registry)) == expected


def test_every_reason_is_named_and_the_bounds_of_evaluate_count() -> None:
    result = reasons({"minimum": {"auc": 0.9}, "parity": 0}, {"minimum": {"auc": 0.8}, "maximum": {"log_loss": 0.1}})
    assert [reason.split(";")[1].strip() for reason in result] == [
        "evaluate.minimum.auc is 0.8", "registry.minimum.auc is 0.9", "evaluate.maximum.log_loss is 0.1",
        "registry.parity is 0",
    ]  # fmt: skip


def test_what_was_not_measured_does_not_pass() -> None:
    assert "no parity figures" in reasons({}, parity={})[0]
    assert reasons({}, parity={"scores": float("nan")}) == ("scores differ by nan; registry.parity is 1e-05",)
    assert reasons({"drift": {"psi": 1}}, drift={}) == (
        "drift_metrics has no features of the test split; registry.drift.psi is 1",
    )


@pytest.mark.parametrize(
    ("metric", "low", "high", "margin", "refused"),
    [
        ("log_loss", -0.01, 0.02, 0.0, False),
        ("log_loss", 0.01, 0.02, 0.0, True),
        ("log_loss", 0.01, 0.02, 0.015, False),
        ("auc", -0.02, 0.001, 0.0, False),
        ("auc", -0.02, -0.01, 0.0, True),
        ("auc", -0.02, -0.01, 0.01, False),
        ("auc", float("nan"), float("nan"), 0.0, True),
    ],
)
def test_a_model_is_refused_when_all_of_the_interval_is_worse(
    metric: str, low: float, high: float, margin: float, *, refused: bool
) -> None:
    comparison = Comparison(champion=3, metric=metric, difference=0.005, low=low, high=high)
    result = reasons({"champion": {"margin": margin}}, comparison=comparison)
    assert [reason.startswith("worse than the champion, version 3: ") for reason in result] == [True] * refused
    assert reasons({"champion": None}, comparison=comparison) == ()
