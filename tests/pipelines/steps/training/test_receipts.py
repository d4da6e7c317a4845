"""Receipts that do not match the table stop the run."""

import pytest

from pipelines.errors import ReceiptError
from pipelines.messages import FeedReceipt
from pipelines.steps.training.receipts import Receipts


def receipt(epoch: int, rank: int, rows: int, checksum: int, part: int = 0) -> FeedReceipt:
    """What a rank says it has read."""
    spent = dict.fromkeys(("feed_seconds", "compute_seconds", "wait_seconds"), 0.0)
    return FeedReceipt(rank=rank, host="h", epoch=epoch, part=part, rows=rows, checksum=checksum, **spent)


def test_matching_receipts_pass() -> None:
    receipts = Receipts(2, 10, 45)
    for epoch in range(2):
        receipts.add(receipt(epoch, 1, 4, 20))
        receipts.add(receipt(epoch, 0, 6, 25))
    receipts.check_complete(2)
    assert len(receipts.received) == 4


@pytest.mark.parametrize(("rows", "checksum"), [(5, 20), (4, 21), (3, 20)])
def test_a_row_missing_doubled_or_exchanged_is_exit_3(rows: int, checksum: int) -> None:
    receipts = Receipts(2, 10, 45)
    receipts.add(receipt(0, 0, 6, 25))
    with pytest.raises(ReceiptError, match=r"epoch 1: the ranks read .* expected 10 rows with checksum 45") as caught:
        receipts.add(receipt(0, 1, rows, checksum))
    assert caught.value.exit_code == 3


def test_a_missing_receipt_is_noticed() -> None:
    receipts = Receipts(2, 10, 45)
    receipts.add(receipt(0, 0, 10, 45))
    with pytest.raises(ReceiptError, match="receipts of epochs 1 of 1 are missing"):
        receipts.check_complete(1)


def test_an_interrupted_epoch_is_complete_with_its_parts() -> None:
    earlier = [receipt(0, 0, 10, 45), receipt(1, 0, 2, 3), receipt(1, 1, 2, 7)]
    receipts = Receipts(1, 10, 45)
    receipts.begin(earlier, 1)
    receipts.add(receipt(1, 0, 6, 35, part=1))
    receipts.check_complete(2)
    receipts.begin(earlier, 1)
    with pytest.raises(ReceiptError, match="epochs 2 of 2 are missing"):
        receipts.check_complete(2)
    with pytest.raises(ReceiptError, match="epoch 2: the ranks read 9 rows"):
        receipts.add(receipt(1, 0, 5, 35, part=1))


def test_epochs_that_a_checkpoint_holds_are_checked_as_well() -> None:
    receipts = Receipts(2, 10, 45)
    receipts.begin([receipt(0, 0, 4, 5), receipt(0, 1, 6, 40)], 1)
    with pytest.raises(ReceiptError, match="epoch 1: the ranks read 9 rows"):
        receipts.begin([receipt(0, 0, 4, 5), receipt(0, 1, 5, 40)], 1)
