"""What the ranks say they have read, held against what the table holds."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.errors import ReceiptError
from pipelines.messages import FeedReceipt


class Receipts:
    """Collects every rank's receipts, and checks an epoch as soon as it is complete.

    An epoch that was interrupted has receipts of several parts; those of parts done before come from the checkpoint.
    """

    def __init__(self, ranks: int, rows: int, checksum: int) -> None:
        self.received: list[FeedReceipt] = []
        self._ranks = ranks
        self._complete: set[int] = set()
        self._expected = (rows, checksum)

    def begin(self, earlier: Iterable[FeedReceipt], epochs: int) -> None:
        """An attempt begins, from a checkpoint that holds these; so many epochs were complete. Raises ReceiptError when one of
        them did not see each row exactly once.
        """
        self.received = list(earlier)
        for epoch in range(epochs):
            self._check(epoch)
        self._complete = set(range(epochs))

    def add(self, receipt: FeedReceipt) -> None:
        """Take a receipt; raises ReceiptError when its epoch is complete and did not see each row exactly once."""
        self.received.append(receipt)
        epoch = self._of(receipt.epoch)
        if sum(other.part == receipt.part for other in epoch) < self._ranks:
            return
        self._check(receipt.epoch)
        self._complete.add(receipt.epoch)

    def _of(self, epoch: int) -> list[FeedReceipt]:
        return [receipt for receipt in self.received if receipt.epoch == epoch]

    def _check(self, number: int) -> None:
        epoch = self._of(number)
        seen = (sum(r.rows for r in epoch), sum(r.checksum for r in epoch))
        if seen != self._expected:
            raise ReceiptError(
                f"epoch {number + 1}: the ranks read {seen[0]:,} rows with checksum {seen[1]}; expected "
                f"{self._expected[0]:,} rows with checksum {self._expected[1]}, each row once. Nothing of this run is kept."
            )

    def check_complete(self, epochs: int) -> None:
        """Raise ReceiptError when a receipt is missing."""
        if missing := sorted(set(range(epochs)) - self._complete):
            raise ReceiptError(f"receipts of epochs {', '.join(str(epoch + 1) for epoch in missing)} of {epochs} are missing.")
