"""What the ranks say they have read, held against what the table holds."""

from __future__ import annotations

from pipelines.errors import ReceiptError
from pipelines.launch.channel import Message


class Receipts:
    """Collects every rank's receipt of every epoch and checks an epoch as soon as it is complete."""

    def __init__(self, ranks: int, rows: int, checksum: int) -> None:
        self.received: list[Message] = []
        self._ranks = ranks
        self._expected = (rows, checksum)

    def add(self, receipt: Message) -> None:
        """Take a receipt; raises ReceiptError when its epoch is complete and did not see each row exactly once."""
        self.received.append(receipt)
        epoch = [other for other in self.received if other["epoch"] == receipt["epoch"]]
        if len(epoch) < self._ranks:
            return
        seen = (sum(r["rows"] for r in epoch), sum(r["checksum"] for r in epoch))
        if seen != self._expected:
            raise ReceiptError(
                f"epoch {receipt['epoch'] + 1}: the ranks read {seen[0]:,} rows with checksum {seen[1]}; expected "
                f"{self._expected[0]:,} rows with checksum {self._expected[1]}, each row once. Nothing of this run is kept."
            )

    def check_complete(self, epochs: int) -> None:
        """Raise ReceiptError when a receipt is missing."""
        if len(self.received) != epochs * self._ranks:
            raise ReceiptError(f"{len(self.received)} receipts came; expected {epochs * self._ranks}, one a rank and epoch.")
