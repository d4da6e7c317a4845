"""Row accounting: what goes into a step comes out, or is quarantined, a duplicate or filtered. Always all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipelines.errors import AccountingError, DataError


@dataclass(frozen=True)
class Account:
    """The rows of one step and source, counted where they were read and where they were written."""

    step: str
    source: str
    rows_in: int
    rows_out: int
    quarantined: int = 0
    duplicates: int = 0
    filtered: int = 0
    repeated: int = 0
    """Of the duplicates, copies that equal the row that stays."""
    example: str = ""
    """One reason for which a row was quarantined."""

    @property
    def leak(self) -> int:
        """Rows that went in and are nowhere; negative when rows came out of nothing."""
        return self.rows_in - self.rows_out - self.quarantined - self.duplicates - self.filtered


def check_accounts(accounts: Iterable[Account]) -> None:
    """Raise AccountingError, naming each step and source that does not close."""
    open_accounts = [account for account in accounts if account.leak]
    if open_accounts:
        lines = [
            f"  {a.step} of {a.source}: in {a.rows_in:,} - out {a.rows_out:,} - quarantined {a.quarantined:,} - "
            f"duplicates {a.duplicates:,} - filtered {a.filtered:,} = {a.leak:+,}, expected 0"
            for a in open_accounts
        ]
        raise AccountingError("rows were lost or made; no table was changed:\n" + "\n".join(lines))


def check_quarantine(accounts: Iterable[Account], max_share: float, may_be_empty: Collection[str] = ()) -> None:
    """Raise DataError when a source lost more than `max_share` of its rows to quarantine, or has none left, unless it may be
    empty and no row of the interval came at all.
    """
    for account in accounts:
        subject = f"{account.step} of {account.source}"
        why = f", for example because of {account.example!r}" if account.example else ""
        if account.rows_in and account.quarantined / account.rows_in > max_share:
            raise DataError(
                f"{subject}: {account.quarantined:,} of {account.rows_in:,} rows quarantined "
                f"({account.quarantined / account.rows_in:.1%}){why}; expected at most {max_share:.1%}. No table was "
                f"changed. Fix the source, its contract or what is derived of it, or raise clean.max_quarantined_share."
            )
        if not account.rows_out and not (account.source in may_be_empty and account.rows_in == account.filtered):
            raise DataError(
                f"{subject}: no row is left of {account.rows_in:,} ({account.quarantined:,} quarantined, "
                f"{account.duplicates:,} duplicates, {account.filtered:,} filtered{why}). No table was changed. "
                f"Check the interval and the source."
            )
