"""Bootstrap weights: how often a row counts in a replicate, from a hash of the row's id and the replicate's number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

SEED = 42  # of Spark's own xxhash64
LANES = 4  # replicates that share one hash of 64 bits, 16 bits each
WORD = 2**64
PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

RowIds = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Weights = npt.NDArray[np.uint8]


def _poisson_table() -> Weights:
    """The inverse cumulative distribution of Poisson(1) at the centres of 2^16 equal steps."""
    cumulative = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(12)])
    return np.searchsorted(cumulative, (np.arange(2**16) + 0.5) / 2**16, side="right").astype(np.uint8)


POISSON = _poisson_table()
"""Counts by 16 random bits. Their mean and variance are 1 within 0.0001; the greatest count is 8."""


def poisson_weights(row_ids: RowIds, replicates: range) -> Weights:
    """Weights of rows in consecutive replicates, shape (rows, replicates): each is drawn from Poisson(1).

    A weight depends on its row's id and its replicate's number alone. Replicate 0 is the sample itself: all weights are 1.
    """
    first, last = replicates.start // LANES, (replicates.stop - 1) // LANES
    groups = np.array([_mixed(group) for group in range(first, last + 1)], np.uint64)
    hashes = _avalanche(_seeded(hash_ids(row_ids))[:, None] ^ groups)
    lanes = hashes.astype("<u8", copy=False).view("<u2")
    start = replicates.start - first * LANES
    weights: Weights = POISSON[lanes[:, start : start + len(replicates)]]
    if 0 in replicates:
        weights[:, replicates.index(0)] = 1
    return weights


def hash_ids(row_ids: RowIds) -> Hashes:
    """Spark's `xxhash64(row_id)` of each id; with a number beside it the same chain gives `xxhash64(row_id, number)`."""
    inputs = row_ids.view(np.uint64) * np.uint64(PRIMES[1])
    mixed = _rotated(inputs, 31) * np.uint64(PRIMES[0])
    return _avalanche(mixed ^ np.uint64((SEED + PRIMES[4] + 8) % WORD))


def _seeded(hashes: Hashes) -> Hashes:
    return hashes + np.uint64(PRIMES[4] + 8)


def _mixed(number: int) -> int:
    product = number * PRIMES[1] % WORD
    return ((product << 31 | product >> 33) % WORD) * PRIMES[0] % WORD


def _avalanche(hashes: Hashes) -> Hashes:
    hashes = _rotated(hashes, 27)
    hashes *= np.uint64(PRIMES[0])
    hashes += np.uint64(PRIMES[3])
    for shift, prime in ((33, PRIMES[1]), (29, PRIMES[2])):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(prime)
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _rotated(words: npt.NDArray[Any], bits: int) -> Hashes:
    rotated: Hashes = words << np.uint64(bits) | words >> np.uint64(64 - bits)
    return rotated
