"""A rank's share of its host."""

from __future__ import annotations

import os

import pytest

from pipelines.training import rank


@pytest.mark.parametrize(
    ("local_rank", "ranks", "cores", "threads"),
    [
        (0, 2, {0, 1, 2, 3}, "4"),
        (1, 2, {4, 5, 6, 7}, "4"),
        (2, 3, {4, 5}, "2"),
        (0, 1, set(range(8)), "8"),
        (11, 12, None, "1"),
    ],
)
def test_a_rank_keeps_to_its_own_cores(
    monkeypatch: pytest.MonkeyPatch, local_rank: int, ranks: int, cores: set[int] | None, threads: str
) -> None:
    pinned: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, own: pinned.append(set(own)))
    for name, value in {"RINGMILL_LOCAL_RANK": local_rank, "RINGMILL_LOCAL_RANKS": ranks}.items():
        monkeypatch.setenv(name, str(value))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    rank._pin()
    assert pinned == ([] if cores is None else [cores])
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == threads
