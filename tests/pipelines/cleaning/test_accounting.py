"""Accounts that do not close, or that say too much was refused, stop the run."""

import pytest

from pipelines.cleaning.accounting import Account, check_accounts, check_quarantine
from pipelines.errors import AccountingError, DataError


def test_closed_accounts_pass() -> None:
    accounts = [Account("clean", "a", 10, 5, 2, 2, 1), Account("clean", "b", 0, 0)]
    check_accounts(accounts)
    assert [account.leak for account in accounts] == [0, 0]


@pytest.mark.parametrize(("rows_out", "leak"), [(4, "+1"), (6, "-1")])
def test_one_row_too_few_or_too_many_is_exit_3(rows_out: int, leak: str) -> None:
    with pytest.raises(AccountingError, match=rf"clean of a: in 10 .*= \{leak}, expected 0") as caught:
        check_accounts([Account("clean", "a", 10, rows_out, 2, 2, 1)])
    assert caught.value.exit_code == 3


def test_the_declared_share_may_be_quarantined_and_no_more() -> None:
    check_quarantine([Account("clean", "a", 100, 95, 5)], 0.05)
    with pytest.raises(DataError, match=r"6 of 100 rows quarantined \(6\.0%\), for example because of 'id: bad'"):
        check_quarantine([Account("clean", "a", 100, 94, 6, example="id: bad")], 0.05)


def test_a_source_with_no_row_left_is_refused() -> None:
    with pytest.raises(DataError, match=r"no row is left of 3 .*3 filtered"):
        check_quarantine([Account("clean", "a", 3, 0, filtered=3)], 1.0)
