"""Keep a pipeline's tables small and quick: see pipelines.io.maintenance."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from pipelines.config import MaintainConfig
from pipelines.io.filesystem import delete_folder, idle_folders, remove_partials
from pipelines.io.maintenance import Maintenance, MaintenanceResult, Retention
from pipelines.runtime.application import Arguments, run_job
from pipelines.runtime.command_line import maintain_parser
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.registry import sync_aliases

LOG = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> int:
    """Run the job maintain and return its exit code."""
    return run_job("maintain", maintain_parser(), argv, _work)


def _work(context: Context, arguments: Arguments) -> None:
    if arguments.dry_run:
        maintain(context, dry=True)
    else:
        execute(STEP, context, force=True)


def maintain(context: Context, *, dry: bool = False) -> Outcome:
    """Maintain every table of the pipeline, several at once, a line each; return the snapshots that stand afterwards."""
    keep = _keep(context.config.maintain, datetime.now(UTC))
    tables = context.lake.tables()

    def work(table: str) -> None:
        LOG.info(_line(Maintenance(context.lake, table, keep, dry=dry).run(), dry=dry))

    context.at_once(*(partial(work, table) for table in tables))
    if removed := _remove_leftovers(context, dry=dry):
        context.console.print(
            f"   artifacts: {'would go' if dry else 'gone'}: {removed:,} files and folders that killed runs left"
        )
    if not dry and sync_aliases(context):
        LOG.warning("   models: the alias file was behind the table and was written anew")
    heads = {table: context.lake.snapshot_id(table) for table in tables}
    return Outcome(outputs={table: head for table, head in heads.items() if head is not None})


def _remove_leftovers(context: Context, *, dry: bool) -> int:
    """Remove what killed runs left where the pipeline keeps what is no table: what is half written, and examples."""
    seconds = timedelta(days=context.config.maintain.audit_days).total_seconds()
    examples = idle_folders(f"{context.all_artifacts}/examples", seconds)
    for folder in [] if dry else examples:
        delete_folder(folder)
    return len(examples) + remove_partials(context.all_artifacts, seconds, dry=dry)


def _keep(config: MaintainConfig, now: datetime) -> Retention:
    return Retention(
        snapshots=now - timedelta(days=config.snapshot_days),
        orphans=now - timedelta(days=config.orphan_days),
        audits=now - timedelta(days=config.audit_days),
        raw=None if config.raw_days is None else now - timedelta(days=config.raw_days),
        file_bytes=config.target_file_mb << 20,
    )


def _line(done: MaintenanceResult, *, dry: bool) -> str:
    files, size = (f"{before:,} → {after:,}" for before, after in (done.files, done.size))
    gone = {"snapshots": done.snapshots, "orphans": done.orphans, "audit branches": done.branches, "raw rows": done.rows}
    went = ", ".join(f"{count:,} {what}" for what, count in gone.items() if count) or "nothing"
    return f"{done.table:>20}: files {files}, bytes {size}, {'would go' if dry else 'gone'}: {went}"


STEP = Step("maintain", ("maintain",), lambda _: {}, maintain)
