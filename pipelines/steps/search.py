"""Search the configuration of training: trials are ordinary trainings, Optuna chooses their values, the best is promoted.

A search is one way of doing the step train: its run is one of `train`, and what follows goes on with the best trial's model.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import optuna
from rich.console import Console

from pipelines.config import SearchConfig, TrainConfig, replaced, score_of
from pipelines.errors import ConfigError, QualityError, RankError
from pipelines.interruption import PROCESS
from pipelines.io.filesystem import delete_folder
from pipelines.launch.ranks import check_launch, warming
from pipelines.messages import EpochReport
from pipelines.runtime.context import Context
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.train import Prepared, inputs, prepare, publish
from pipelines.steps.training.attempts import Attempts
from pipelines.steps.training.space import pruner_of, sampler_of, size_of, suggested
from pipelines.steps.training.tracking import LogEpoch, tracked
from pipelines.training.job import TrainingJob
from schemas.tables import SEARCH_TRIALS

LOG = logging.getLogger(__name__)

DONE, PRUNED, FAILED = "done", "pruned", "failed"
# Of one trial, whose network may be more than a rank has room for; what is wrong with the data or a store ends the search.
FAILURES = (ConfigError, QualityError, RankError)


@dataclass
class Trial:
    """One trial: the values that it tried, its training, and what came of it."""

    number: int
    values: dict[str, Any]
    state: str = FAILED
    error: str | None = None
    seconds: float = 0.0
    job: TrainingJob | None = None
    attempts: Attempts | None = None
    history: dict[int, EpochReport] = field(default_factory=dict)

    def best(self, monitor: str) -> EpochReport | None:
        """The report of its best epoch so far."""
        return max(self.history.values(), key=lambda report: score_of(monitor, report.validation()[monitor]), default=None)


def work(context: Context) -> Outcome:
    """Try what the configuration says, write search_trials, and publish the best trial as train does.

    Raises QualityError when no trial came to its end, and ConfigError when the cluster has too few slots.
    """
    search, train = context.config.search, context.config.train
    assert search is not None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what a trial came to is said below
    tunnel = train.encrypted_interface
    check_launch(context.spark, train.ranks, plain=train.allow_plain_transport, encrypted_interface=tunnel)
    with warming(context.spark, train.ranks):
        prepared = prepare(context)
    trials, promoted = list[Trial](), None
    study = optuna.create_study(direction="maximize", sampler=sampler_of(search), pruner=pruner_of(search))

    def objective(chosen: optuna.Trial) -> float:
        values = suggested(chosen, search)
        if twin := next((trial for trial in trials if trial.values == values), None):
            return _again(context, chosen, twin)
        trials.append(Trial(chosen.number, values))
        try:
            return _try(context, prepared, chosen, trials[-1])
        finally:
            if PROCESS.number is None:  # a signal is reported once, for the whole run
                _log_trial(context, search, trials[-1])
            _remove(trials, best_of(trials, train.monitor))

    try:
        study.optimize(objective, n_trials=size_of(search), catch=FAILURES)
        best = best_of(trials, train.monitor)
        if best is None or best.job is None or best.attempts is None:
            first = next((trial.error for trial in trials if trial.error), "")
            raise QualityError(
                f"search: none of {len(trials)} trials came to its end. Widen its space. The first error: {first}"
            )
        outcome = publish(context, prepared, best.job, best.attempts)
        LOG.info(f"    best: trial {best.number + 1}, whose model stays")
        promoted = best
    finally:
        _write(context, trials, promoted)
    return outcome


def _try(context: Context, prepared: Prepared, chosen: optuna.Trial, trial: Trial) -> float:
    """Train a trial to its end and give its score; raises TrialPruned when it falls behind, and what training raises."""
    began, train = time.monotonic(), context.config.train

    def on_epoch(log_epoch: LogEpoch, report: EpochReport) -> None:
        epoch = report.epoch
        if epoch in trial.history:  # once more, after a rank was lost
            return
        trial.history[epoch] = report
        log_epoch(report)
        chosen.report(score_of(train.monitor, report.validation()[train.monitor]), epoch + 1)
        if epoch + 1 < train.epochs and chosen.should_prune():
            raise optuna.TrialPruned

    try:
        trial.job = prepared.job(context, _config(train, trial.values), f"trial-{trial.number + 1:04d}")
        quiet = replace(context, console=Console(quiet=True, markup=False))
        with tracked(context, trial.job, f"trial {trial.number + 1}") as log_epoch:
            trial.attempts = Attempts(
                quiet, trial.job, prepared.receipts(trial.job.config.ranks), partial(on_epoch, log_epoch), level=logging.DEBUG
            )
            trial.attempts.run()
            if not math.isfinite(score := _score(trial, train.monitor)):
                raise QualityError(f"{train.monitor} is no number")
        trial.state = DONE
    except optuna.TrialPruned:
        trial.state = PRUNED
        raise
    except FAILURES as error:
        trial.error = str(error)
        raise
    finally:
        trial.seconds = time.monotonic() - began
    return score


def _again(context: Context, chosen: optuna.Trial, twin: Trial) -> float:
    """What the same values came to before, which they would again."""
    LOG.info(f"    the values of trial {twin.number + 1} were chosen once more, which has been done")
    monitor = context.config.train.monitor
    for epoch, report in twin.history.items():
        chosen.report(score_of(monitor, report.validation()[monitor]), epoch + 1)
    if twin.state != DONE:
        raise optuna.TrialPruned
    return _score(twin, monitor)


def _config(train: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    try:
        return replaced(train, values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _score(trial: Trial, monitor: str) -> float:
    best = trial.best(monitor)
    assert best is not None
    return score_of(monitor, best.validation()[monitor])


def best_of(trials: list[Trial], monitor: str) -> Trial | None:
    """Of the trials that came to their end the one with the best epoch; none when none did."""
    return max((t for t in trials if t.state == DONE), key=lambda trial: _score(trial, monitor), default=None)


def _log_trial(context: Context, search: SearchConfig, trial: Trial) -> None:
    monitor = context.config.train.monitor
    best = trial.best(monitor)
    reached = best and f"{monitor} {best.validation()[monitor]:.4f} in epoch {best.epoch + 1} of {len(trial.history)}"
    values = ", ".join(f"{path} {_short(value)}" for path, value in trial.values.items())
    label = f"trial {trial.number + 1:>2}/{size_of(search)}"
    line = f"    {label}  {trial.state:<6}  {reached or trial.error}  {values}  {trial.seconds:.1f} s"
    LOG.info(line)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(context: Context, trials: list[Trial], promoted: Trial | None) -> None:
    monitor, rows = context.config.train.monitor, []
    for trial in trials:
        best = trial.best(monitor)
        rows.append(
            {
                "run_id": context.run_id, "trial": trial.number + 1, "state": trial.state, "values": json.dumps(trial.values),
                "epochs": len(trial.history), "best_epoch": best.epoch if best else None, "monitor": monitor,
                "value": best.validation()[monitor] if best else None, "seconds": trial.seconds, "error": trial.error,
                "promoted": trial is promoted,
            }
        )  # fmt: skip
    if rows:
        context.lake.append_rows(SEARCH_TRIALS, rows)


def _remove(trials: list[Trial], best: Trial | None) -> None:
    """Remove the files of all trials but the best so far."""
    for trial in trials:
        if trial is not best and trial.job:
            if trial.attempts:
                trial.attempts.release()
            delete_folder(trial.job.model)
            delete_folder(trial.job.checkpoints)
            trial.job = trial.attempts = None


STEP = Step(
    "train",
    ("train", "task", "search"),
    inputs,
    work,
    own_progress=True,
    reads=("features", "feature_stats", "feature_samples"),
)
