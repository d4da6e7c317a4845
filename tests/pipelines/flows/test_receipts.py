"""Receipts that do not match the table stop the run."""

import pytest

from pipelines.errors import ReceiptError
from pipelines.flows.receipts import Receipts


def receipt(epoch: int, rank: int, rows: int, checksum: int) -> dict[str, int]:
    """What a rank says it has read."""
    return {"epoch": epoch, "rank": rank, "rows": rows, "checksum": checksum}


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
    with pytest.raises(ReceiptError, match="1 receipts came; expected 2"):
        receipts.check_complete(1)
