"""Advice on a training that runs as configured, but hardly as its author meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.config import Regression, weights_by_label
from pipelines.stages.split_checks import listed
from pipelines.training.job import TrainingJob

STEPS_AT_LEAST = 10  # an epoch that the suggested batch size comes to


def training_hints(job: TrainingJob, classes: Mapping[int, int]) -> Iterator[str]:
    """A sentence when one step takes a whole epoch, and when class weights name classes that no train row has (`classes`: rows
    of the train split by label).
    """
    if job.train.steps(0) == 1:
        yield _one_step(job)
    task = job.task
    if isinstance(task, Regression):
        return
    weights = weights_by_label(job.config.class_weights, task)
    if absent := [task.classes[label] for label, weight in enumerate(weights) if weight != 1 and label not in classes]:
        yield f"train.class_weights weighs {listed(absent)}, but no row of the train split is of that class"


def _one_step(job: TrainingJob) -> str:
    config, rows = job.config, job.train.rows
    ranks = f"{config.ranks} ranks" if config.ranks > 1 else "1 rank"
    wrong = (
        f"each epoch is 1 step, one change of the weights: {ranks} with train.batch_size {config.batch_size:,} "
        f"take {config.ranks * config.batch_size:,} rows a step, and the train split has {rows:,}"
    )
    size = _suggested(job)
    steps = job.train.model_copy(update={"batch_size": size}).steps(0)
    return f"{wrong}. Set train.batch_size to {size:,} for {steps} steps an epoch" if steps > 1 else wrong


def _suggested(job: TrainingJob) -> int:
    """A power of two that makes `STEPS_AT_LEAST` steps of an epoch, where the rows suffice, in whole parts of accumulation."""
    config = job.config
    most = job.train.rows // (config.ranks * STEPS_AT_LEAST * config.accumulation)
    return config.accumulation * (1 << max(most.bit_length() - 1, 0))
