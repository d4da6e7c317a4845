"""A training run as one rank sees it: epochs of training and validation, receipts, checkpoints, the best one exported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import horovod.tensorflow as hvd
import keras
import numpy as np
import numpy.typing as npt

from pipelines.config import score_of
from pipelines.errors import RankError
from pipelines.messages import EpochReport, FeedReceipt, OnnxReport, ParityReport, Ready, StepReport
from pipelines.training.board import Board, Timeline
from pipelines.training.decoding import Columns
from pipelines.training.divergence import diverged, unusable
from pipelines.training.export import Description, Exported, export
from pipelines.training.feed import Chunk, Feed, Receipt
from pipelines.training.gather import gathered
from pipelines.training.job import TrainingJob
from pipelines.training.loop import Loop, ValidationMetrics
from pipelines.training.networks import build_network
from pipelines.training.optimizers import ReduceOnPlateau, Steps, build_optimizer
from pipelines.training.plan import Start, TrainedPart
from pipelines.training.reporter import Reporter
from pipelines.training.saved import Saved
from pipelines.training.step_timer import CHECKPOINT, COMPUTE, EXPORT, FEED, VALIDATE, StepTimer
from pipelines.training.tasks import head_of

SECONDS_BETWEEN_REPORTS = 0.25


def run_training(job: TrainingJob, reporter: Reporter) -> None:
    """Train the whole run on this rank, with the others; rank 0 also keeps checkpoints and exports the best model."""
    if job.timeline:
        os.environ["HOROVOD_TIMELINE"] = "DYNAMIC"  # it may be started
    hvd.init()
    try:
        train(job, reporter)
    finally:
        hvd.shutdown()


def train(job: TrainingJob, reporter: Reporter) -> None:
    """The same between ranks that Horovod has brought together already, as ranks do that train several jobs in turn."""
    if hvd.size() != job.config.ranks:
        raise RankError(f"{hvd.size()} ranks came together; expected {job.config.ranks}. Is another Horovod in the way?")
    with StepTimer(reporter) as timer:
        try:
            _RankRun(job, reporter, timer).train()
        except Exception as error:
            reporter.error(error)  # before the others see the end, which they would report as their own
            raise


class _RankRun:
    """One rank's part of a run: what it trains, the run's state, and rank 0's weights of the best epoch."""

    def __init__(self, job: TrainingJob, reporter: Reporter, timer: StepTimer) -> None:
        self._job, self._reporter, self._timer = job, reporter, timer
        config = job.config
        keras.utils.set_random_seed(config.seed)
        self._head = head_of(job.task, job.spec, job.horizon, config.loss, config.class_weights)
        self._network = build_network(config.network, job.spec, self._head.outputs, config.precision)
        self._plateau = ReduceOnPlateau(config.optimizer.reduce_on_plateau) if config.optimizer.reduce_on_plateau else None
        steps = Steps(job.schedule_steps, config.ranks * config.batch_size, job.schedule_shift)
        optimizer = build_optimizer(config.optimizer, steps, self._plateau)
        columns = Columns(job.spec, job.horizon)
        self._feed, self._validation = (
            Feed(plan, columns, hvd.rank(), config.steps_per_call) for plan in (job.train, job.validation)
        )
        shape, compress = self._feed.shape(), config.compression == "fp16"
        self._loop = Loop(
            self._network, optimizer, self._head, shape, self._plateau, parts=config.accumulation, compress=compress
        )
        timer.computed = self._loop.computed
        self._saved = Saved(job.checkpoints, self._loop)
        self._state = job.state
        first = hvd.rank() == 0
        self._board = Board(job.tensorboard, job.state.history) if job.tensorboard and first else None
        self._timeline = Timeline(job.timeline) if job.timeline and first else None
        if job.resume and first:
            self._saved.restore(job.resume)
        self._loop.broadcast()
        reporter.send(Ready(parameters=self._network.count_params()))

    def train(self) -> None:
        """Train every remaining epoch, then export the best one."""
        config = self._job.config
        while self._state.start.epoch < config.epochs and self._state.since_best != config.patience:
            self._epoch(self._state.start.epoch)
        if hvd.rank() == 0:
            with self._timer.within(EXPORT):
                if self._timeline:
                    self._timeline.keep()
                self._saved.wait()
                parity, onnx = self._export()
            self._reporter.send(ParityReport(**parity._asdict(), onnx=OnnxReport(**onnx._asdict())))

    def _epoch(self, epoch: int) -> None:
        """Train on the remaining rows of an epoch, validate, and report the result."""
        plan, rate, started = self._job.train, self._loop.learning_rate(), time.monotonic()
        self._timer.begin(epoch)
        receipt = Receipt()
        loss = self._steps(epoch, receipt)
        seconds = time.monotonic() - started
        validation = self._validate()
        score = _epoch_score(self._job.config.monitor, validation)
        if not np.isfinite([validation.loss, score]).all():
            raise unusable(validation, epoch)
        report = EpochReport(
            epoch=epoch,
            train_loss=loss / plan.rows,
            validation_loss=validation.loss,
            learning_rate=rate,
            rows=plan.rows,
            steps=sum(part.steps for part in plan.interruptions(epoch)) + plan.steps(epoch),
            seconds=seconds,
            rows_per_second=plan.remaining_rows(epoch) / seconds,
            **{validation.metric: validation.value},
        )
        receipts = self._receipts(epoch, receipt)
        if self._plateau:
            self._plateau.update(score)
        self._state = self._state.after_epoch(report, score, receipts)
        if hvd.rank() == 0:
            self._saved.keep(self._state, best=self._state.since_best == 0)
            self._reporter.send(self._state.history[-1])
            if self._board:
                self._board.write_epoch(self._state.history[-1], receipts)
            for rank_receipt in receipts:
                self._reporter.send(rank_receipt)

    def _steps(self, epoch: int, receipt: Receipt) -> float:
        """Train on the remaining rows of an epoch, with checkpoints on the way; return the sum of all ranks' losses."""
        every, all_rows = self._job.config.checkpoint_steps, self._job.train.step_rows(epoch)
        loss, step, report_progress = self._state.loss, 0, self._progress_reporter(epoch, all_rows)
        for chunk in self._timed(self._feed.epoch(epoch, receipt)):
            with self._timer.within(COMPUTE):
                call = self._loop.train(chunk, all_rows[step : step + chunk.steps])
            if call.bad < chunk.steps:
                where = f"epoch {epoch + 1}, step {step + call.bad + 1} of {len(all_rows)}"
                raise diverged(chunk, call.bad, self._job.spec, where)
            before, step, loss = step, step + chunk.steps, loss + call.loss
            self._timer.stepped(chunk.steps, call.wait)
            report_progress(step, loss)
            if step // every > before // every and step < len(all_rows):
                self._keep_within(epoch, step, loss, receipt)
        return loss

    def _progress_reporter(self, epoch: int, step_rows: npt.NDArray[np.float32]) -> Callable[[int, float], None]:
        """A function that reports rank 0's position in the epoch and the mean loss so far, a few times a second."""
        plan, rows = self._job.train, step_rows.cumsum()
        consumed, started, last_report = plan.rows - plan.remaining_rows(epoch), time.monotonic(), time.monotonic()

        def report_progress(step: int, loss: float) -> None:
            nonlocal last_report
            now = time.monotonic()
            if hvd.rank() or now - last_report < SECONDS_BETWEEN_REPORTS:
                return
            last_report, done = now, float(rows[step - 1])
            mean, speed = loss / (consumed + done), done / (now - started)
            self._reporter.send(StepReport(epoch=epoch, step=step, steps=len(rows), loss=mean, rows_per_second=speed))

        return report_progress

    def _keep_within(self, epoch: int, step: int, loss: float, receipt: Receipt) -> None:
        """Keep a checkpoint in the midst of an epoch; all ranks take part, since the receipt so far is theirs."""
        with self._timer.within(CHECKPOINT):
            interruptions = (*self._job.train.interruptions(epoch), TrainedPart(ranks=hvd.size(), steps=step))
            receipts = self._receipts(epoch, receipt)
            if hvd.rank() == 0:
                self._saved.keep(self._state.within(Start(epoch=epoch, taken=interruptions), loss, receipts))

    def _validate(self) -> ValidationMetrics:
        with self._timer.within(VALIDATE):
            return self._loop.validate(self._validation.epoch(0, Receipt()), self._job.validation.rows)

    def _timed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Chunks, the wait for each counted as time of the feed."""
        while True:
            with self._timer.within(FEED):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _receipts(self, epoch: int, receipt: Receipt) -> list[FeedReceipt]:
        """What every rank has read of the epoch since the run began or went on."""
        return gathered(
            FeedReceipt(
                rank=self._reporter.rank,
                host=self._reporter.host,
                epoch=epoch,
                part=len(self._job.train.interruptions(epoch)),
                **vars(receipt),
                **self._timer.seconds(),
            )
        )

    def _export(self) -> Exported:
        self._saved.restore_best()
        job = self._job
        manifest = {
            "run_id": job.run_id,
            "pipeline": job.pipeline,
            **self._state.best,
            "task": job.task.model_dump(mode="json"),
            "train": job.config.model_dump(mode="json"),
        }
        described = Description(job.inputs, job.data)
        return export(self._network, job.spec, self._head, manifest, job.model, job.samples, described)


def _epoch_score(monitor: str, validation: ValidationMetrics) -> float:
    """The score of an epoch, of which more is better. Ranks agree on it because all of them hold the same sums."""
    return score_of(monitor, validation.value) if monitor == validation.metric else score_of("validation_loss", validation.loss)
