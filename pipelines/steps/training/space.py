"""The space of a search, and who chooses in it, as Optuna has them."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna

from pipelines.config import Choices, SearchConfig, Span


def sampler_of(search: SearchConfig) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of a search, which chooses each trial's values."""
    if search.sampler == "grid":
        grid = {path: _tokens(values.grid) for path, values in search.space.items()}
        return optuna.samplers.GridSampler(grid, seed=search.seed)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=search.seed)
    return optuna.samplers.TPESampler(seed=search.seed, n_startup_trials=max(search.trials // 3, 1))


def pruner_of(search: SearchConfig) -> optuna.pruners.BasePruner:
    """Optuna's pruner of a search, which ends trials early."""
    if search.halving is None:
        return optuna.pruners.NopPruner()
    halving = search.halving
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=halving.minimum_epochs, reduction_factor=halving.factor)


def size_of(search: SearchConfig) -> int:
    """How many trials there are: of a grid no more than it has points."""
    points = math.prod(len(values.grid) for values in search.space.values())
    return min(search.trials, points) if search.sampler == "grid" else search.trials


def suggested(trial: optuna.Trial, search: SearchConfig) -> dict[str, Any]:
    """The values that Optuna has chosen for a trial."""
    return {path: _suggest(trial, path, values, grid=search.sampler == "grid") for path, values in search.space.items()}


def _suggest(trial: optuna.Trial, path: str, values: Choices | Span, *, grid: bool) -> Any:
    if grid or isinstance(values, Choices):
        return json.loads(trial.suggest_categorical(path, _tokens(values.grid)))
    if values.whole:
        return trial.suggest_int(path, int(values.low), int(values.high), step=int(values.step or 1), log=values.log)
    return trial.suggest_float(path, values.low, values.high, step=values.step, log=values.log)


def _tokens(values: tuple[Any, ...]) -> list[str]:
    """Values as Optuna keeps them: lists and sections, too, are words to it."""
    return [json.dumps(value) for value in values]
