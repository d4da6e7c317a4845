"""Who chooses in a search's space, without a training."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from pipelines.config import SearchConfig
from pipelines.steps.training.space import pruner_of, sampler_of, size_of, suggested

SPACE = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "network.dropout": {"low": 0.0, "high": 0.4, "step": 0.1},
    "network.hidden": {"choices": [[8], [16, 8]]},
}


def tried(**section: Any) -> list[dict[str, Any]]:
    """The values of a search whose trials are worth their learning rate."""
    search = SearchConfig.model_validate({"trials": 24, "seed": 3, "space": SPACE, **section})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, values = optuna.create_study(direction="maximize", sampler=sampler_of(search)), list[dict[str, Any]]()

    def objective(trial: optuna.Trial) -> float:
        values.append(suggested(trial, search))
        return float(values[-1]["optimizer.learning_rate"])

    study.optimize(objective, n_trials=size_of(search))
    return values


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_values_lie_in_the_space_and_are_the_same_for_the_same_seed(sampler: str) -> None:
    values = tried(sampler=sampler)
    assert len(values) == 24
    assert all(0.001 <= each["optimizer.learning_rate"] <= 0.1 for each in values)
    assert {round(each["network.dropout"], 6) for each in values} <= {0.0, 0.1, 0.2, 0.3, 0.4}
    assert sorted({str(each["network.hidden"]): each["network.hidden"] for each in values}.values()) == [[8], [16, 8]]
    assert values == tried(sampler=sampler)
    assert values != tried(sampler=sampler, seed=4)


def test_tpe_learns_where_values_are_good() -> None:
    rates = [each["optimizer.learning_rate"] for each in tried(sampler="tpe")]
    assert sum(rates[-8:]) > sum(rates[:8])


def test_halving_ends_the_trials_that_fall_behind() -> None:
    search = SearchConfig.model_validate({"space": SPACE, "halving": {"minimum_epochs": 1, "factor": 2}})
    study, epochs = optuna.create_study(direction="maximize", pruner=pruner_of(search)), list[int]()

    def objective(trial: optuna.Trial) -> float:
        for epoch in range(1, 9):
            trial.report(-trial.number, epoch)  # each is worse than the one before
            if trial.should_prune():
                epochs.append(epoch)
                raise optuna.TrialPruned
        epochs.append(8)
        return 0.0

    study.optimize(objective, n_trials=6)
    assert epochs[0] == 8
    assert max(epochs[2:]) < 8
