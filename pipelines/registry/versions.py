"""A model's versions and their aliases through time, as rows of the table `models`: pure functions from rows to rows.

A version is never changed in place. Each change ends the row that held so far (`valid_to`) and adds one that holds from then
on, so the table has the whole history, and one commit moves an alias from one version to another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from pipelines.config import Model
from pipelines.errors import DataError, QualityError

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
Alias = Literal["champion", "challenger"]
JSON_COLUMNS = ("lineage", "metrics", "gate")
TICK = timedelta(microseconds=1)  # by which two changes are apart at least


class ModelLineage(Model):
    """What a version was made of: runs by job, snapshots by table, digests of configurations by job, and the code."""

    runs: dict[str, str]
    snapshots: dict[str, int]
    configuration: dict[str, str]
    code: str


class GateRecord(Model):
    """What decided a verdict: the digest of the gate's settings, and the champion that the model was compared with."""

    digest: str
    compared_with: int | None = None


class ModelVersion(Model):
    """A version as it was, or is, in a span of time: a row of `models`."""

    name: str
    version: int
    alias: Alias | None
    valid_from: datetime
    valid_to: datetime | None
    change: Literal["published", "promoted", "rolled_back", "replaced"]
    changed_by: str
    change_reason: str
    run_id: str
    state: Literal["passed", "refused"]
    reasons: tuple[str, ...]
    uri: str
    hash: str
    train_run_id: str
    evaluate_run_id: str
    interval_from: datetime
    interval_to: datetime
    lineage: ModelLineage
    metrics: dict[str, float]
    gate: GateRecord
    created_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ModelVersion:
        """A version from its row of the table `models`."""
        return cls(**{**row, **{name: json.loads(row[name]) for name in JSON_COLUMNS}})

    @property
    def row(self) -> dict[str, object]:
        """The version as a row of the table `models`."""
        content = self.model_dump()
        nested = {name: json.dumps(content[name], sort_keys=True) for name in JSON_COLUMNS}
        return {**content, **nested, "reasons": list(self.reasons)}


class Change(NamedTuple):
    """What changes an alias: the kind of change, who or what brings it, why, by which run and when."""

    kind: Literal["published", "promoted", "rolled_back", "replaced"]
    by: str
    reason: str
    run_id: str
    at: datetime


History = Sequence[ModelVersion]


def current(history: History) -> list[ModelVersion]:
    """The versions as they are now, in order."""
    return sorted((row for row in history if row.valid_to is None), key=lambda row: row.version)


def holder(history: History, alias: str) -> ModelVersion | None:
    """The version that has an alias now."""
    return next((row for row in current(history) if row.alias == alias), None)


def known_version(history: History, version: int) -> ModelVersion:
    """A version by its number; raises DataError, with those that there are, when it is not registered."""
    rows = current(history)
    row = next((row for row in rows if row.version == version), None)
    if row is None:
        known = ", ".join(str(row.version) for row in rows)
        raise DataError(
            f"models: no version {version}; {f'registered are {known}' if known else 'the registry is empty'}. "
            f"{'Name one of them.' if known else 'Run jobs/publish.py first.'}"
        )
    return row


def check_passed(version: ModelVersion) -> None:
    """Raise QualityError, with every reason, when the gate refused a version."""
    if version.state != "passed":
        raise QualityError(
            f"models: version {version.version} was refused by its gate and is not used: {'; '.join(version.reasons)}. Train "
            f"again, or change the gate and run jobs/publish.py again."
        )


def next_version(history: History) -> int:
    """The number of the next version."""
    return max((row.version for row in history), default=0) + 1


def registered(history: History, version: ModelVersion) -> list[ModelVersion]:
    """The history with a new version, whose alias is taken from the version that had it."""
    at = _after(history, version.valid_from)
    version = version.model_copy(update={"valid_from": at, "created_at": at})
    change = Change(version.change, version.changed_by, version.change_reason, version.run_id, at)
    return [*_without_alias(history, version.alias, version.version, change), version]


def with_alias(history: History, version: int, alias: Alias, change: Change) -> list[ModelVersion]:
    """The history after an alias has moved to a version. Raises DataError for one that is not registered, and QualityError for
    one that its gate refused.
    """
    target = known_version(history, version)
    check_passed(target)
    change = change._replace(at=_after(history, change.at))
    freed = _without_alias(history, alias, version, change)
    return _superseded(freed, target, alias, change)


def previous_champion(history: History) -> int:
    """The version that a rollback returns to: the champion before the present one, where one that was rolled back does not
    count. Raises DataError when there is none.
    """
    line: list[int] = []
    for row in sorted((row for row in history if row.alias == CHAMPION), key=lambda row: row.valid_from):
        if row.change == "rolled_back":
            line.pop()
        else:
            line.append(row.version)
    if not line:
        raise DataError("rollback: no model has the alias champion. Run jobs/publish.py, or jobs/promote.py --version first.")
    if len(line) < 2:
        raise DataError(
            f"rollback: no champion came before version {line[-1]}; expected one to return to. Name another version: "
            f"jobs/promote.py --version."
        )
    return line[-2]


def _without_alias(history: History, alias: Alias | None, version: int, change: Change) -> list[ModelVersion]:
    """Take an alias from whichever other version has it."""
    other = holder(history, alias) if alias else None
    if other is None or other.version == version:
        return list(history)
    why = f"version {version} became {alias}"
    return _superseded(history, other, None, change._replace(kind="replaced", reason=why))


def _superseded(history: History, row: ModelVersion, alias: Alias | None, change: Change) -> list[ModelVersion]:
    """End a row, and go on with one that has another alias."""
    ended = row.model_copy(update={"valid_to": change.at})
    begun = row.model_copy(
        update={
            "alias": alias, "valid_from": change.at, "change": change.kind, "changed_by": change.by,
            "change_reason": change.reason, "run_id": change.run_id,
        }
    )  # fmt: skip
    return [*(ended if each == row else each for each in history), begun]


def _after(history: History, at: datetime) -> datetime:
    """A moment that is after all changes, however the clocks of machines differ."""
    return max([at, *(row.valid_from + TICK for row in history)])
