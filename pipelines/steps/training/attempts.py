"""A training run on the ranks, restarted from its last checkpoint when a rank is lost."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from pipelines.errors import ConfigError, RankError, ReceiptError
from pipelines.io.filesystem import delete_file, list_files, list_folders, read_bytes, write_bytes
from pipelines.launch.ranks import run_ranks
from pipelines.messages import EpochReport, FeedReceipt, Message, SlowRank
from pipelines.runtime.code import engine_version
from pipelines.runtime.context import Context
from pipelines.runtime.events import Events
from pipelines.steps.training.progress import TrainingProgress
from pipelines.steps.training.receipts import Receipts
from pipelines.training import checkpoint
from pipelines.training.job import TrainingJob
from pipelines.training.train_state import TrainState

CLAIM = "job.json"


class Attempts:
    """Trains a job, with retries; afterwards `history` has each epoch's report, and `receipts` all that were read.

    Epochs and events are logged at `level`. `on_epoch` gets each epoch, also one that another attempt has done again, and may
    end the run by an exception. A run that was killed leaves its checkpoints, and a claim beside them with the fingerprint of
    its job: the next run of the same job goes on from there, by any number of ranks.
    """

    def __init__(
        self,
        context: Context,
        job: TrainingJob,
        receipts: Receipts,
        on_epoch: Callable[[EpochReport], None] = lambda _: None,
        level: int = logging.INFO,
    ) -> None:
        self.history: list[EpochReport] = []
        self.receipts = receipts
        self._context = context
        self._job = job
        self._on_epoch = on_epoch
        self._level = level
        self._events = Events(context, level)
        self._fingerprint = job.fingerprint(engine_version())

    def run(self) -> None:
        """Train; raises RankError when a rank was lost once more than train.retries allows, and else what run_ranks raises."""
        unfinished = self._unfinished_folder()
        self._claim()
        try:
            epochs, steps = self._job.config.epochs, self._job.train.steps(0)
            with TrainingProgress(self._context.console, epochs, steps, self._level) as progress:
                self._attempts(unfinished, progress)
        except ReceiptError:
            self.release()  # whoever went on from its checkpoints would go on from rows that were not each seen once
            raise
        finally:
            self._events.write()

    def _attempts(self, unfinished: str | None, progress: TrainingProgress) -> None:
        job = (unfinished and self._from(unfinished)) or self._job
        allowed = job.config.retries + 1
        for attempt in range(1, allowed + 1):
            self._events.attempt = attempt
            try:
                self._attempt(job, progress)
            except RankError as error:
                self._events.add("failed", str(error))
                if attempt == allowed:
                    raise
                job = self._from(self._job.checkpoints) or job
            else:
                return

    def _attempt(self, job: TrainingJob, progress: TrainingProgress) -> None:
        self.history = list(job.state.history)
        for report in self.history:
            self._on_epoch(report)
        self.receipts.begin(job.state.receipts, len(job.state.history))
        config = job.config

        def listen(message: Message) -> None:
            progress.show(message)
            match message.content:
                case EpochReport() as report:
                    self.history.append(report)
                    self._on_epoch(report)
                case FeedReceipt() as receipt:
                    self.receipts.add(receipt)
                case SlowRank() as slow:
                    position = {"rank": message.rank, "host": message.host, "epoch": slow.epoch, "step": slow.step}
                    self._events.add("slow", slow.message, position)

        try:
            run_ranks(
                self._context.spark,
                config.ranks,
                job.model_dump_json(),
                listen,
                port=config.channel_port,
                start_seconds=config.start_timeout_seconds,
                stall_seconds=config.stall_timeout_seconds,
                launcher=config.launcher,
                plain=config.allow_plain_transport,
                encrypted_interface=config.encrypted_interface,
            )
        except ConfigError as error:
            if self._events.attempt > 1:  # enough slots there were before
                raise RankError(f"training can't go on: {error}") from error
            raise

    def _from(self, folder: str) -> TrainingJob | None:
        """The job, going on from the newest whole checkpoint of a folder; None when it has none."""
        newest = checkpoint.newest(folder, lambda error: self._events.add("damaged", str(error)))
        if newest is None:
            return None
        uri, saved = newest
        state = TrainState.model_validate(saved.meta)
        position = {"epoch": state.start.epoch, "step": sum(part.steps for part in state.start.taken)}
        self._events.add("resumed", f"from epoch {position['epoch'] + 1}, step {position['step']}: {uri}", position)
        return self._job.resumed(uri, state)

    def _unfinished_folder(self) -> str | None:
        """The folder of the last run of the same job that did not end, when it has checkpoints."""
        return next((folder for folder in reversed(self._claims()) if checkpoint.saved_in(folder)), None)

    def _claims(self) -> list[str]:
        """The folders whose claim has this job's fingerprint, oldest first."""
        folders = list_folders(self._job.checkpoints.rpartition("/")[0])
        claimed = [folder for folder in folders if f"{folder}/{CLAIM}" in list_files(folder)]
        return [folder for folder in claimed if json.loads(read_bytes(f"{folder}/{CLAIM}")) == self._own_claim()]

    def _own_claim(self) -> dict[str, str]:
        return {"fingerprint": self._fingerprint}

    def _claim(self) -> None:
        write_bytes(f"{self._job.checkpoints}/{CLAIM}", json.dumps(self._own_claim()).encode())

    def release(self) -> None:
        """The job is done, and kept: nothing of it is gone on from any more."""
        for folder in self._claims():
            delete_file(f"{folder}/{CLAIM}")
