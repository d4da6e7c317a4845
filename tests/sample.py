"""A small sample of the real flights, and configurations over it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from pipelines.config import Pipeline
from tests.root import ROOT

EVERY = 40  # rows of flights.csv to one of the sample: 8,420 flights of the whole year
SMALL = ("weather", "planes", "airports", "airlines")
Row = dict[str, str]


def some_rows(path: Path, every: int, first: int = 0) -> list[Row]:
    """Every so many rows of a CSV file, from one on; each row of the file has a line of its own."""
    return [dict(row) for row in _some_rows(path, every, first)]


@cache  # hundreds of tests write the same sample, and csv takes a second to read all flights
def _some_rows(path: Path, every: int, first: int) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        header = next(file)
        return list(csv.DictReader([header, *islice(file, first, None, every)]))


def write_rows(path: Path, rows: list[Row], names: Sequence[str]) -> None:
    """Write rows with these columns as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def write_sample(
    data: Path, folder: Path, edit: Callable[[list[Row]], list[Row]] = lambda rows: rows, every: int = EVERY
) -> None:
    """Write a sample of the flights, edited, to a folder, and link the other files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = some_rows(data / "flights.csv", every)
    names = list(rows[0])
    rows = edit(rows)
    write_rows(folder / "flights.csv", rows, names)
    for name in SMALL:
        (folder / f"{name}.csv").unlink(missing_ok=True)
        (folder / f"{name}.csv").symlink_to(data / f"{name}.csv")


def example_over(folder: Path, example: str, name: str) -> dict[str, Any]:
    """An example's configuration over the files in `folder`, as pipeline `name`."""
    text = (ROOT / "conf" / f"{example}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)  # an eighth of the time, for hundreds of tests
    content["pipeline"] = name
    content["packages"] = ["schemas", "pipelines.stages", "tests"]
    content["lake"]["warehouse"] = str(folder / "warehouse")
    for source, settings in content["sources"].items():
        settings["path"] = str(folder / f"{source}.csv")
    return content


def configured(folder: Path, name: str, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> dict[str, Any]:
    """The flights configuration over the sample in `folder`, as pipeline `name`, edited."""
    content = example_over(folder, "flights", name)
    content["train"].update(epochs=2, batch_size=64)
    content["evaluate"] = {"minimum": {"auc": 0.55}}
    edit(content)
    return content


def pipeline(folder: Path, name: str, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> Pipeline:
    """The same, validated."""
    return Pipeline.model_validate(configured(folder, name, edit))
