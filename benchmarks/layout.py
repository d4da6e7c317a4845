"""How fast a rank decodes features by their layout on disk: a column a number, or one column of arrays, side by side.

`python benchmarks/layout.py`: the same numbers in Parquet files with the features table's row groups, read by row group into
one matrix as the feed does, in interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import store
from pipelines.features.columns import fill_matrix, flat

NUMBERS = 32
GROUP_BYTES = 4 << 20


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    values = np.random.default_rng(1).normal(size=(arguments.rows, NUMBERS)).astype(np.float32)
    names = tuple(f"n{index}" for index in range(NUMBERS))
    group = GROUP_BYTES // (4 * NUMBERS)
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        columns, arrays = Path(folder) / "columns.parquet", Path(folder) / "arrays.parquet"
        options: dict[str, Any] = {"row_group_size": group, "compression": "lz4", "use_dictionary": False}
        pq.write_table(pa.table({name: values[:, index] for index, name in enumerate(names)}), columns, **options)
        offsets = np.arange(0, values.size + 1, NUMBERS, dtype=np.int32)
        pq.write_table(pa.table({"numbers": pa.ListArray.from_arrays(offsets, values.reshape(-1))}), arrays, **options)
        decoders: dict[str, tuple[Path, Callable[[pa.Table], Any]]] = {
            "a column a number": (
                columns,
                lambda table: fill_matrix(table, names, np.empty((len(table), NUMBERS), np.float32)),
            ),
            "one column of arrays": (arrays, lambda table: flat(table["numbers"], np.float32)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(arguments.rounds):
            for name, (path, decode) in decoders.items():
                started = time.monotonic()
                read(path, decode)
                seconds[name].append(time.monotonic() - started)
        sizes = {name: path.stat().st_size / 1e6 for name, (path, _) in decoders.items()}
    medians = {name: statistics.median(durations) for name, durations in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s, {arguments.rows / median:,.0f} rows/s, {sizes[name]:,.0f} MB")
    first, second = medians.values()
    print(f"arrays / columns: {second / first:.2f}")
    store("layout", {"rows": arguments.rows, "seconds": seconds})


def read(path: Path, decode: Callable[[pa.Table], Any]) -> None:
    """Decode a file, one row group after the other, on one thread."""
    with pq.ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups):
            decode(file.read_row_group(group, use_threads=False))


if __name__ == "__main__":
    main()
