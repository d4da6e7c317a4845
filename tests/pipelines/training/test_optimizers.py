"""Optimizers by configuration, and rates by hand."""

import pytest

from pipelines.config import Optimizer, Plateau
from pipelines.errors import ConfigError
from pipelines.training.optimizers import Plateau as PlateauState
from pipelines.training.optimizers import Steps, build_optimizer


def rates(config: dict[str, object], *steps: int, plateau: PlateauState | None = None) -> list[float]:
    """The rates at some of a hundred steps of 512 rows."""
    optimizer = build_optimizer(Optimizer.model_validate(config), Steps(100, 512), plateau)
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate.numpy()))
    return found


@pytest.mark.parametrize("wrong", [{"name": "Adamm"}, {"options": {"momentun": 0.9}}])
def test_an_optimizer_that_keras_cannot_make_is_exit_2(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"train\.optimizer: Keras cannot make"):
        build_optimizer(Optimizer.model_validate(wrong), Steps(10, 1))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule": "constant"}, (0.1, 0.1, 0.1)),
        ({"schedule": "cosine"}, (0.1, 0.05, 0)),
        ({"schedule": "cosine", "final": 0.5}, (0.1, 0.075, 0.05)),
        ({"schedule": "exponential"}, (0.1, 0.01, 0.001)),
        ({"schedule": "exponential", "final": 0.25}, (0.1, 0.05, 0.025)),
    ],
)
def test_a_rate_decays_over_the_run(schedule: dict[str, object], expected: tuple[float, ...]) -> None:
    assert rates({"learning_rate": 0.1, **schedule}, 0, 50, 100) == pytest.approx(expected, abs=2e-8)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", (0.05, 0)), ("constant", (0.1, 0.1)), ("exponential", (0.01, 0.001))],
)
def test_a_rate_may_rise_first(schedule: str, expected: tuple[float, ...]) -> None:
    found = rates({"learning_rate": 0.1, "schedule": schedule, "warmup": 0.2}, 0, 10, 20, 60, 100)
    assert found == pytest.approx((0, 0.05, 0.1, *expected), abs=2e-8)


def test_the_rate_follows_the_rows_of_a_step() -> None:
    assert rates({"learning_rate": 0.1, "reference_batch": 256}, 0) == pytest.approx([0.2])
    assert rates({"learning_rate": 0.1, "reference_batch": 2048, "schedule": "cosine"}, 50) == pytest.approx([0.0125])


def test_a_rate_shrinks_when_epochs_are_no_better() -> None:
    plateau = PlateauState(Plateau(patience=2, factor=0.5, minimum=0.2))
    config = {"learning_rate": 0.1, "schedule": "cosine"}
    optimizer = build_optimizer(Optimizer.model_validate(config), Steps(100, 1), plateau)
    found = []
    for score in (-0.5, -0.6, -0.5, -0.4, float("nan"), -0.4, -0.4, -0.4, -0.4, -0.4):
        plateau.judge(score)
        found.append(float(optimizer.learning_rate.numpy()))
    # Two epochs without a better one than -0.5 halve it; then -0.4 is better, and six more are not: never below a fifth.
    assert found == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02])
    optimizer.iterations.assign(50)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.01)  # a fifth of what the schedule says


def test_a_plateau_goes_on_from_its_variables() -> None:
    first, second = (PlateauState(Plateau(patience=2)) for _ in range(2))
    for score in (1 / 3, 0.1):
        first.judge(score)
    for mine, kept in zip(second.variables, first.variables, strict=True):
        mine.assign(kept.numpy())
    second.judge(1 / 3)  # the same double, which is no better: the second epoch in vain
    assert [float(variable.numpy()) for variable in second.variables] == [0.5, 1 / 3, 0]
