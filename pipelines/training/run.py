"""A training run as one rank sees it: epochs of training and validation, receipts, checkpoints, the best one exported."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import horovod.tensorflow as hvd
import keras

from pipelines.errors import RankError
from pipelines.training import checkpoint
from pipelines.training.checkpoint import Checkpoint
from pipelines.training.export import export
from pipelines.training.feed import Columns, Feed, Receipt
from pipelines.training.job import TrainingJob
from pipelines.training.loop import Loop, Validation
from pipelines.training.networks import build_network
from pipelines.training.optimizers import Plateau, build_optimizer
from pipelines.training.parity import Parity
from pipelines.training.reporter import Reporter
from pipelines.training.tasks import Head, head_of

SECONDS_BETWEEN_REPORTS = 0.25


def run_training(job: TrainingJob, reporter: Reporter) -> None:
    """Train the whole run on this rank, with the others; rank 0 also keeps checkpoints and exports the best model."""
    hvd.init()
    if hvd.size() != job.config.ranks:
        raise RankError(f"{hvd.size()} ranks came together; expected {job.config.ranks}. Is another Horovod in the way?")
    try:
        _train(job, reporter)
    finally:
        hvd.shutdown()


def _train(job: TrainingJob, reporter: Reporter) -> None:
    config = job.config
    keras.utils.set_random_seed(config.seed)
    head = head_of(job.task, job.spec, job.horizon, config.loss, config.class_weights)
    network = build_network(config.network, job.spec, head.outputs, config.precision)
    plateau = Plateau(config.optimizer.reduce_on_plateau) if config.optimizer.reduce_on_plateau else None
    step_rows = config.ranks * config.batch_size
    optimizer = build_optimizer(config.optimizer, job.train.steps * config.epochs, step_rows, plateau)
    columns = Columns(job.spec, job.horizon)
    feed, validation_feed = (
        Feed(plan, columns, hvd.rank(), config.steps_per_call, config.shuffle_rows) for plan in (job.train, job.validation)
    )
    compress = config.compression == "fp16"
    loop = Loop(network, optimizer, head, feed.shape(), plateau, parts=config.accumulation, compress=compress)
    loop.broadcast()
    reporter.send("ready", parameters=network.count_params())
    best, since_best = -math.inf, 0
    for epoch in range(config.epochs):
        receipt, started, rate = Receipt(), time.monotonic(), loop.learning_rate()
        loss = loop.train_epoch(feed.epoch(epoch, receipt), job.train.step_rows(), _progress(job, epoch, reporter))
        seconds = time.monotonic() - started
        found = loop.validate(validation_feed.epoch(0, Receipt()), job.validation.rows)
        score = _score(job, found)
        if plateau:
            plateau.judge(score)
        is_best = score > best or epoch == 0
        best, since_best = (score, 0) if is_best else (best, since_best + 1)
        if hvd.rank() == 0:
            _keep(job, loop, epoch, is_best, found)
            reporter.send(
                "epoch", epoch=epoch, train_loss=loss, validation_loss=found.loss, learning_rate=rate,
                rows=job.train.rows, steps=job.train.steps, seconds=seconds, best=is_best, **{found.metric: found.value},
            )  # fmt: skip
        reporter.send("receipt", epoch=epoch, rows=receipt.rows, checksum=receipt.checksum)
        if since_best == config.patience:
            break
    if hvd.rank() == 0:
        rows, difference = _export_best(job, network, head)
        reporter.send("parity", rows=rows, difference=difference)


def _score(job: TrainingJob, found: Validation) -> float:
    """What the best epoch has most of; ranks agree on it because all of them hold the same sums."""
    if job.config.monitor == found.metric:
        return -found.value if found.metric == "validation_mae" else found.value
    return -found.loss


def _progress(job: TrainingJob, epoch: int, reporter: Reporter) -> Callable[[int, float], None]:
    """A listener that reports rank 0's place in the epoch a few times a second; the loss is that of its own rows."""
    started = reported = time.monotonic()
    rows, own_rows = job.train.step_rows().cumsum(), job.train.rank_rows(0)

    def tell(step: int, loss: float) -> None:
        nonlocal reported
        now = time.monotonic()
        if hvd.rank() or now - reported < SECONDS_BETWEEN_REPORTS:
            return
        reported = now
        done = min(step * job.train.batch_size, own_rows)
        speed = float(rows[step - 1]) / (now - started)
        reporter.send("step", epoch=epoch, step=step, steps=job.train.steps, loss=loss / done, rows_per_second=speed)

    return tell


def _keep(job: TrainingJob, loop: Loop, epoch: int, is_best: bool, found: Validation) -> None:
    arrays = [keras.ops.convert_to_numpy(variable) for variable in loop.variables]
    meta = {"epoch": epoch, "validation_loss": found.loss, found.metric: found.value}
    for name in ["last", *(["best"] if is_best else [])]:
        checkpoint.save(f"{job.checkpoints}/{name}.npz", Checkpoint(arrays, meta))


def _export_best(job: TrainingJob, network: keras.Model, head: Head) -> Parity:
    best = checkpoint.load(f"{job.checkpoints}/best.npz")
    for variable, array in zip(network.variables, best.arrays, strict=False):
        variable.assign(array)
    manifest = {
        "run_id": job.run_id,
        "pipeline": job.pipeline,
        **best.meta,
        "task": job.task.model_dump(mode="json"),
        "train": job.config.model_dump(mode="json"),
    }
    return export(network, job.spec, head, manifest, job.model, job.samples)
