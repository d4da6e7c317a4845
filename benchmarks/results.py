"""How benchmarks show their figures, and where they keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


def store(name: str, figures: dict[str, Any]) -> None:
    """Write figures as JSON to benchmarks/results, under the benchmark's name."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1))


def grid(title: str, *columns: str) -> Table:
    """A table to fill: the first column words, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table
