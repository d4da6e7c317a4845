"""A rank that adds up bytes with the other: `python tests/pipelines/launch/mpi_rank.py LIBRARY WORD COUNT`, without TensorFlow.

It calls MPICH's library as Horovod does. Each rank gives the word, over and over; the greatest of equal bytes are the same.
"""

from __future__ import annotations

import ctypes
import sys

WORLD, BYTE, GREATEST = 0x44000000, 0x4C000102, 0x58000001  # MPICH: MPI_COMM_WORLD, MPI_UNSIGNED_CHAR, MPI_MAX


def main() -> int:
    """Print the word's bytes that came back whole, and return 0."""
    library, word, count = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
    sent = word * count
    received = ctypes.create_string_buffer(len(sent))
    assert library.MPI_Init(None, None) == 0
    assert library.MPI_Allreduce(sent, received, len(sent), BYTE, GREATEST, WORLD) == 0
    assert received.raw == sent
    assert library.MPI_Finalize() == 0
    print(f"{len(sent)} bytes added up", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
