"""What training reads of the features table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.config import Interval
from pipelines.errors import RankError, ReceiptError
from pipelines.messages import FeedReceipt, Message
from pipelines.runtime.context import Context
from pipelines.steps.train import prepared_files
from pipelines.steps.training import attempts
from pipelines.steps.training.attempts import CLAIM, Attempts
from pipelines.steps.training.receipts import Receipts
from schemas import tables
from tests.pipelines.conftest import Run
from tests.pipelines.training.test_job import job


def write(context: Context, rows: int) -> None:
    """Publish so many train rows of the context's interval."""
    start, end = context.bounds
    table = tables.features((), {"x": "float"}, "float", ())
    stamp: dict[str, Any] = {"run_id": context.run_id, "interval_from": start, "interval_to": end}
    records = [{"row_id": at, "split": "train", "label": 0.0, "x": 1.0, **stamp} for at in range(rows)]
    with context.audit("features") as audit:
        audit.write(table, context.lake.frame(table, records), context.in_interval)
        audit.publish()


def test_of_two_intervals_that_begin_at_once_the_own_files_alone_are_read(run: Run) -> None:
    context = run()
    start = datetime(2013, 1, 1, tzinfo=UTC)
    half, whole = (
        replace(context, interval=Interval(start=start, end=datetime(2013, month, 1, tzinfo=UTC))) for month in (6, 12)
    )
    write(half, 3)
    write(whole, 5)
    snapshot = context.lake.snapshot_id("features")
    assert snapshot is not None
    for one, rows in ((half, 3), (whole, 5)):
        files = prepared_files(one, snapshot, "train")
        assert sum(pq.read_metadata(file.removeprefix("file:")).num_rows for file in files) == rows


@pytest.mark.parametrize(("checksum", "goes_on"), [(45, True), (44, False)])
def test_a_run_whose_receipts_do_not_match_is_not_resumed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksum: int, goes_on: bool
) -> None:
    context, wanted = run(), job(1, retries=0).model_copy(update={"checkpoints": str(tmp_path / "checkpoints" / "run")})

    def ranks(*arguments: Any, **_: Any) -> None:
        spent = dict.fromkeys(("feed_seconds", "compute_seconds", "wait_seconds"), 0.0)
        receipt = FeedReceipt(rank=0, host="h", epoch=0, part=0, rows=10, checksum=checksum, **spent)
        arguments[3](Message(rank=0, host="h", content=receipt))
        raise RankError("rank 0 on h died")

    monkeypatch.setattr(attempts, "run_ranks", ranks)
    with pytest.raises(RankError if goes_on else ReceiptError):
        Attempts(context, wanted, Receipts(1, 10, 45)).run()
    assert (tmp_path / "checkpoints" / "run" / CLAIM).exists() == goes_on
