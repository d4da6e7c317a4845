"""Versions of a model for tests, all of a pipeline `toy`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.registry.versions import Change, GateRecord, ModelLineage, ModelVersion, registered

FIRST_DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def day(number: int) -> datetime:
    """Noon of a day in March 2026."""
    return FIRST_DAY + timedelta(days=number - 1)


def version(number: int, **fields: Any) -> ModelVersion:
    """A version that passed its gate, registered at noon of the day of its number, without an alias."""
    content: dict[str, Any] = {
        "name": "toy", "version": number, "alias": None, "valid_from": day(number), "valid_to": None, "change": "published",
        "changed_by": "jobs/publish.py", "change_reason": "passed its gate", "run_id": f"publish{number}", "state": "passed",
        "reasons": (), "uri": f"/models/{number}", "hash": f"{number:064d}", "train_run_id": f"train{number}",
        "evaluate_run_id": f"evaluate{number}", "interval_from": day(1), "interval_to": day(2), "metrics": {"auc": 0.7},
        "lineage": ModelLineage(runs={"train": f"train{number}"}, snapshots={"features": 1}, configuration={}, code="1"),
        "gate": GateRecord(digest="gate"), "created_at": day(number),
    }  # fmt: skip
    return ModelVersion(**{**content, **fields})


def history(*versions: ModelVersion) -> list[ModelVersion]:
    """The history after versions were registered one after the other."""
    rows: list[ModelVersion] = []
    for each in versions:
        rows = registered(rows, each)
    return rows


def change(number: int, kind: Any = "promoted", by: str = "ann") -> Change:
    """A change at noon of a day."""
    return Change(kind, by, f"because of {number}", f"promote{number}", day(number))
