"""The table `models` as jobs read and change it, and the alias file that follows it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pipelines.errors import DataError, ExternalError
from pipelines.io.revisions import revise
from pipelines.registry.aliases import write_aliases
from pipelines.registry.digest import check_bundle
from pipelines.registry.mlflow import mirror
from pipelines.registry.versions import ModelVersion, check_passed, current, holder, known_version
from pipelines.runtime.context import Context
from schemas.tables import MODELS

LOG = logging.getLogger(__name__)

History = list[ModelVersion]
MIRROR_ROUNDS = 5  # after which other runs, which go on changing the registry, bring MLflow up to it


def read_history(context: Context, snapshot: int | None = None) -> History:
    """All rows of the pipeline's models, now or at a snapshot; none when nothing was ever published."""
    return [ModelVersion.of(row) for row in context.lake.rows(MODELS, {}, snapshot)]


def change_models(context: Context, revision: Callable[[History], History]) -> int | None:
    """Change the registry in one commit, then bring the alias file up to it; return the snapshot, or None without a change.

    `revision` is called again when another run was faster, with what that run left, and may raise an error then.
    """

    def rows(stored: list[dict[str, Any]]) -> list[dict[str, object]]:
        return [version.row for version in revision([ModelVersion.of(row) for row in stored])]

    snapshot = revise(context.lake, MODELS, rows)
    sync_aliases(context)
    return snapshot


def resolve(context: Context, name: str) -> ModelVersion:
    """The version behind an alias or a number, from the table. Raises DataError when there is none, QualityError when its gate
    refused it, and ExternalError when its bundle is not the one that was registered.
    """
    history = read_history(context)
    version = known_version(history, int(name)) if name.isdecimal() else holder(history, name)
    if version is None:
        have = ", ".join(f"{row.alias} (version {row.version})" for row in current(history) if row.alias) or "no alias"
        raise DataError(
            f"model {name}: no version has that alias; there is {have}. Run jobs/publish.py, or jobs/promote.py --version."
        )
    check_passed(version)
    check_bundle(version.uri, version.hash)
    return version


def sync_aliases(context: Context) -> bool:
    """Bring the alias file up to the table, and return whether it was behind.

    The table is read again after each write: whoever writes last has seen the last commit.
    """
    behind = False
    while (snapshot := context.lake.snapshot_id(MODELS.name)) is not None:
        if not write_aliases(context.config, read_history(context, snapshot), snapshot):
            break
        behind = True
    _mirror(context)
    return behind


def _mirror(context: Context) -> None:
    """Bring an MLflow server up to the table, where the configuration names one; a failure is a warning, as the table has all.

    The table is read again after each change, as for the alias file.
    """
    if context.config.registry.mlflow is None:
        return
    try:
        for _ in range(MIRROR_ROUNDS):
            snapshot = context.lake.snapshot_id(MODELS.name)
            if snapshot is None or not mirror(context.config, current(read_history(context, snapshot))):
                break
    except ExternalError as error:
        LOG.warning(f"  registry.mlflow: not up to date: {error}")


def refused_runs(context: Context) -> dict[str, str]:
    """Training runs whose model nothing uses, each with the reason: the gate refused it, or its last evaluation failed."""
    refused: dict[str, str] = {}
    for run in sorted(context.runs.all("evaluate"), key=lambda run: run.started_at):
        trained = run.inputs.get("train", "")
        refused.pop(trained, None)
        if run.status == "failed":
            refused[trained] = run.error or "its evaluation failed"
    for version in current(read_history(context)):
        refused.pop(version.train_run_id, None)
        if version.state == "refused":
            refused[version.train_run_id] = f"version {version.version} was refused: {'; '.join(version.reasons)}"
    return refused
