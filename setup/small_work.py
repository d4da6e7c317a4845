"""Whether a job's sources are small: `python setup/small_work.py CONFIG`; exit code 0 when they are, 1 when not or unknown.

conf/spark/spark-env.sh asks this before Java starts: over little data Java's optimizing compiler costs more than it gains. The
answer changes no result, so whatever is wrong with the configuration is left for the job to report.
"""

import glob
import re
import sys
from pathlib import Path
from typing import Any

import yaml

SMALL_BYTES = 128 << 20  # of text: 1.4 million flights
PACKED = (".parquet", ".gz", ".zst", ".bz2", ".snappy", ".lz4")  # such files hold many times their size
TIMES = 8
PLACEHOLDER = re.compile(r"\{[^}]*\}")


def source_bytes(source: dict[str, Any]) -> float:
    """The bytes of text that a run reads from a source; infinite where that can't be told from files of this machine."""
    path = str(source.get("path", ""))
    if source.get("kind") not in ("csv", "jsonl", "parquet") or "://" in path or not path:
        return float("inf")
    files = [file for match in glob.glob(PLACEHOLDER.sub("*", path), recursive=True) for file in _files(Path(match))]  # noqa: PTH207
    sizes = [file.stat().st_size * (TIMES if file.suffix in PACKED else 1) for file in files]
    # A path with a period in it has an interval's files, of which the largest stands for a run's.
    return max(sizes, default=0) if PLACEHOLDER.search(path) else sum(sizes)


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def main(config: str) -> int:
    """Return 0 when the sources of a configuration are small, and 1 when they are large or can't be read."""
    try:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        return 0 if sum(map(source_bytes, content["sources"].values())) <= SMALL_BYTES else 1
    except Exception:  # noqa: BLE001 (the job says what is wrong)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
