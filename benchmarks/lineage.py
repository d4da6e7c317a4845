"""ringmill's lineage events beside those of OpenLineage's Spark listener, of the same ingest and clean on a REST catalog.

`python -m benchmarks.lineage --catalog http://127.0.0.1:8181 --listener openlineage-spark_2.13.jar` prints each dataset that
either of them names, as input or output, with the rows that were written to it. Tables lie where the catalog keeps them, in a
namespace of the pipeline's name. Without a listener ringmill's own events are shown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from benchmarks.results import ROOT, grid

LISTENER = "io.openlineage.spark.agent.OpenLineageSparkListener"
JOBS = ("ingest", "clean")


class DatasetUse(NamedTuple):
    """A dataset, by the names in events, and whether it was read or written."""

    direction: str
    namespace: str
    name: str


def main() -> None:
    """Run both jobs, and print what the events of both sides name."""
    parser = argparse.ArgumentParser(prog="lineage.py")
    parser.add_argument("--catalog", required=True, help="address of an Iceberg REST catalog")
    parser.add_argument("--listener", type=Path, help="jar of OpenLineage's Spark listener")
    parser.add_argument("--config", type=Path, default=ROOT / "conf" / "weather.yaml")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ringmill-lineage-") as name:
        folder = Path(name)
        path = configure(arguments.config, arguments.catalog, folder)
        for job in JOBS:
            run_job(job, path, arguments.listener, folder)
        show(*(rows_by_dataset(read_events(folder / f"{side}.jsonl")) for side in ("ringmill", "listener")))


def configure(config: Path, catalog: str, folder: Path) -> Path:
    """Write the configuration with the catalog, and a file for ringmill's events."""
    content = yaml.safe_load(config.read_text())
    content["lake"] = {"warehouse": str(folder / "warehouse"), "catalog": {"type": "rest", "uri": catalog}}
    content["openlineage"] = {"transport": {"type": "file", "path": str(folder / "ringmill.jsonl")}}
    path = folder / config.name
    path.write_text(yaml.safe_dump(content))
    return path


def run_job(job: str, config: Path, listener: Path | None, folder: Path) -> None:
    """Run one job by spark-submit, with the listener where there is one."""
    transport = {"type": "file", "location": str(folder / "listener.jsonl")}
    settings = {"spark.extraListeners": LISTENER, **{f"spark.openlineage.transport.{k}": v for k, v in transport.items()}}
    flags = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    program = str(Path(sys.executable).with_name("spark-submit"))
    attached = ["--jars", str(listener), *flags] if listener else []
    subprocess.run([program, *attached, f"jobs/{job}.py", "--config", str(config)], check=True, cwd=ROOT)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file, a line each; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows_by_dataset(events: Iterable[Mapping[str, Any]]) -> dict[DatasetUse, int | None]:
    """The datasets that events name, with the rows written to each; None where no event counts them."""
    rows: dict[DatasetUse, int | None] = {}
    for event in events:
        for direction in ("inputs", "outputs"):
            for dataset in event.get(direction, ()):
                use = DatasetUse(direction, dataset["namespace"], dataset["name"])
                written = dataset.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount")
                before = rows.setdefault(use, None)
                rows[use] = before if written is None else (before or 0) + int(written)
    return rows


def show(ours: Mapping[DatasetUse, int | None], theirs: Mapping[DatasetUse, int | None]) -> None:
    """Print the datasets of both, with the rows of each, and `-` where one does not name a dataset."""
    table = grid("Datasets in lineage events, and the rows written to each", "dataset", "ringmill", "Spark listener")
    for use in sorted({*ours, *theirs}):
        cells = ("-" if use not in side else str(side[use] if side[use] is not None else "named") for side in (ours, theirs))
        table.add_row(f"{use.direction} {use.namespace} {use.name}", *cells)
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
