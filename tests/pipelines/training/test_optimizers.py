"""Optimizers by configuration, and rates by hand."""

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from pipelines.config import Optimizer, Plateau
from pipelines.errors import ConfigError
from pipelines.training.optimizers import ReduceOnPlateau, Steps, build_optimizer


def rates(config: dict[str, object], *steps: int, plateau: ReduceOnPlateau | None = None) -> list[float]:
    """The rates at some of a hundred steps of 512 rows."""
    optimizer = build_optimizer(Optimizer.model_validate(config), Steps(100, 512), plateau)
    values = []
    for step in steps:
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate.numpy()))
    return values


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
    values = rates({"learning_rate": 0.1, "schedule": schedule, "warmup": 0.2}, 0, 10, 20, 60, 100)
    assert values == pytest.approx((0, 0.05, 0.1, *expected), abs=2e-8)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {}),
        ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "clipnorm": 0.5}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {"weight_decay": 0.1, "use_ema": True}),
    ],
)
def test_adam_moves_as_keras_moves_it(name: str, options: dict[str, float | bool]) -> None:
    config = Optimizer.model_validate({"name": name, "learning_rate": 0.05, "schedule": "cosine", "options": options})
    ours, plain = build_optimizer(config, Steps(60, 1)), getattr(keras.optimizers, name)
    peer = plain(keras.optimizers.schedules.CosineDecay(0.05, 60, alpha=0.0), **options)
    generator = np.random.default_rng(3)
    gradients = [[generator.normal(size=shape).astype("f4") * 10.0**-step for shape in ((5, 3), (3,))] for step in range(8)] * 5

    def trained_by(optimizer: keras.optimizers.Optimizer) -> list[npt.NDArray[np.float32]]:
        weights = [keras.Variable(np.ones(shape, "f4")) for shape in ((5, 3), (3,))]
        optimizer.build(weights)
        step = tf.function(lambda *each: optimizer.apply(list(each), weights), autograph=False)
        for each in gradients:
            step(*map(tf.constant, each))
        return [variable.numpy() for variable in (*weights, *optimizer.variables)]

    moved = trained_by(ours), trained_by(peer)
    assert len(moved[0]) == len(moved[1])
    for one, other in zip(*moved, strict=True):
        # Keras takes 1 - beta_2 once from float64 and once from float32, which differ by 5e-5.
        np.testing.assert_allclose(one, other, rtol=5e-5, atol=1e-7)
    assert not np.allclose(moved[0][0], 1)


def test_adam_is_that_of_the_paper_in_float64_to_float32s_precision() -> None:
    optimizer = build_optimizer(Optimizer(name="Adam", learning_rate=0.05), Steps(60, 1))
    weight, generator = keras.Variable(np.ones(4, "f4")), np.random.default_rng(4)
    optimizer.build([weight])
    theta, m, v = np.ones(4), np.zeros(4), np.zeros(4)
    for step in range(1, 41):
        gradient = generator.normal(size=4).astype("f4")
        optimizer.apply([tf.constant(gradient)], [weight])
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * np.square(gradient.astype("f8"))
        theta -= 0.05 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7 / np.sqrt(1 - 0.999**step))
    np.testing.assert_allclose(weight.numpy(), theta, rtol=2e-6)


def test_the_rate_follows_the_rows_of_a_step() -> None:
    assert rates({"learning_rate": 0.1, "reference_batch": 256}, 0) == pytest.approx([0.2])
    assert rates({"learning_rate": 0.1, "reference_batch": 2048, "schedule": "cosine"}, 50) == pytest.approx([0.0125])


def test_a_rate_shrinks_when_epochs_are_no_better() -> None:
    plateau = ReduceOnPlateau(Plateau(patience=2, factor=0.5, minimum=0.2))
    config = {"learning_rate": 0.1, "schedule": "cosine"}
    optimizer = build_optimizer(Optimizer.model_validate(config), Steps(100, 1), plateau)
    values = []
    for score in (-0.5, -0.6, -0.5, -0.4, float("nan"), -0.4, -0.4, -0.4, -0.4, -0.4):
        plateau.update(score)
        values.append(float(optimizer.learning_rate.numpy()))
    # Two epochs without a better one than -0.5 halve it; then -0.4 is better, and six more are not: never below a fifth.
    assert values == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02])
    optimizer.iterations.assign(50)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.01)  # a fifth of what the schedule says


def test_a_plateau_resumes_from_its_variables() -> None:
    first, second = (ReduceOnPlateau(Plateau(patience=2)) for _ in range(2))
    for score in (1 / 3, 0.1):
        first.update(score)
    for mine, theirs in zip(second.variables, first.variables, strict=True):
        mine.assign(theirs.numpy())
    second.update(1 / 3)  # the same double, which is no better: the second epoch in vain
    assert [float(variable.numpy()) for variable in second.variables] == [0.5, 1 / 3, 0]
