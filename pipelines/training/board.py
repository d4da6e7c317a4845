"""Scalars for TensorBoard, and Horovod's timeline, which rank 0 writes for people who look at a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import horovod.tensorflow as hvd
import tensorflow as tf

from pipelines.io.filesystem import is_local, list_files, locate, publish_folder, write_bytes
from pipelines.messages import EpochReport, FeedReceipt


class Board:
    """A folder of TensorBoard's event files at a path or URI; a remote one is copied there after each epoch.

    `history` are epochs that another attempt has done: they are written again where its files can't be added to.
    """

    def __init__(self, uri: str, history: Iterable[EpochReport]) -> None:
        self._uri = uri
        self._copied = None if is_local(uri) else tempfile.TemporaryDirectory(prefix="ringmill-board-")
        folder = self._copied.name if self._copied else locate(uri)[1]
        rewrites = bool(self._copied) or not list_files(uri)
        self._writer = tf.summary.create_file_writer(folder)
        for report in history if rewrites else ():
            self._write(report)

    def write_epoch(self, report: EpochReport, receipts: Iterable[FeedReceipt]) -> None:
        """Write an epoch: losses, metric, rate, speed, and each rank's shares of compute, wait and feed."""
        self._write(report)
        with self._writer.as_default(step=report.epoch):
            for receipt in receipts:
                for activity, share in receipt.shares()._asdict().items():
                    tf.summary.scalar(f"rank_{receipt.rank}/{activity}_share", share)
        self._writer.flush()
        if self._copied:
            try:
                publish_folder(Path(self._copied.name), self._uri)
            except OSError as error:  # no reason to stop training
                print(f"ringmill: TensorBoard's logs can't be copied to {self._uri}: {error}", flush=True)

    def _write(self, report: EpochReport) -> None:
        rates = {"learning_rate": report.learning_rate, "rows_per_second": report.rows_per_second}
        values = {"train_loss": report.train_loss, **report.validation(), **rates}
        with self._writer.as_default(step=report.epoch):
            for name, value in values.items():
                tf.summary.scalar(name, value)


class Timeline:
    """Horovod's timeline of the rest of a run, as JSON for a browser's tracing page, at a path or URI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._folder = tempfile.TemporaryDirectory(prefix="ringmill-timeline-")
        self._path = Path(self._folder.name) / "timeline.json"
        hvd.start_timeline(str(self._path))

    def keep(self) -> None:
        """Stop writing, and copy the files to where they stay."""
        hvd.stop_timeline()
        write_bytes(self._uri, self._path.read_bytes())
        self._folder.cleanup()
