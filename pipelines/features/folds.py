"""Which fold a row of the train split is in, by a hash of its id: the same that Spark's `xxhash64` gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FOLD_SEED = 20040731
SPARK_SEED = 42
PRIMES = tuple(
    np.uint64(prime)
    for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
Hashes = npt.NDArray[np.uint64]


def folds_of(row_ids: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """Which of `folds` parts each row is in: `pmod(xxhash64(FOLD_SEED, row_id), folds)`."""
    hashed = hash_longs(row_ids, hash_int(FOLD_SEED, SPARK_SEED)).view(np.int64)
    numbers: npt.NDArray[np.int64] = hashed % folds
    return numbers


def hash_int(value: int, seed: int) -> np.uint64:
    """The 64-bit xxHash of a 32-bit number. Source: Yann Collet, xxHash fast digest algorithm, for inputs of 4 bytes."""
    with np.errstate(over="ignore"):
        hashed = np.array([seed], np.int64).view(np.uint64) + PRIMES[4] + np.uint64(4)
        hashed ^= np.uint64(value & 0xFFFFFFFF) * PRIMES[0]
        return np.uint64(_mixed(_rotated(hashed, 23) * PRIMES[1] + PRIMES[2])[0])


def hash_longs(values: npt.NDArray[np.int64], seed: np.uint64) -> Hashes:
    """The 64-bit xxHash of 64-bit numbers, by the same source for inputs of 8 bytes."""
    with np.errstate(over="ignore"):
        hashed = np.full(len(values), seed + PRIMES[4] + np.uint64(8), np.uint64)
        hashed ^= _rotated(values.view(np.uint64) * PRIMES[1], 31) * PRIMES[0]
        return _mixed(_rotated(hashed, 27) * PRIMES[0] + PRIMES[3])


def _rotated(values: Hashes, bits: int) -> Hashes:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> np.uint64(33))) * PRIMES[1]
    values = (values ^ (values >> np.uint64(29))) * PRIMES[2]
    return values ^ (values >> np.uint64(32))
