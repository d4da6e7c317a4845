"""Move the alias champion to another version, in one commit."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pipelines.errors import ConflictError
from pipelines.registry.digest import check_bundle, verified_manifest
from pipelines.registry.versions import (
    CHAMPION,
    Change,
    ModelVersion,
    check_passed,
    holder,
    known_version,
    previous_champion,
    with_alias,
)
from pipelines.runtime.application import Arguments, run_job
from pipelines.runtime.command_line import promote_parser
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.registry import History, change_models, read_history, sync_aliases
from schemas.tables import MODELS

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """What is to become champion: a version, or (None) the one before the present champion; who wants it, and why."""

    version: int | None
    by: str
    reason: str


def run(argv: Sequence[str]) -> int:
    """Run the job promote and return its exit code."""
    return run_job("promote", promote_parser(), argv, _work)


def _work(context: Context, arguments: Arguments) -> None:
    promotion = Promotion(arguments.version, arguments.by or _user(), arguments.reason)
    execute(promote_step(promotion), context, force=True)


def promote_step(promotion: Promotion) -> Step:
    """The step that moves the alias, as `execute` takes it."""
    return Step("promote", ("registry",), lambda _: {}, partial(promote, promotion=promotion), reads=("models",))


def promote(context: Context, promotion: Promotion) -> Outcome:
    """Make a version champion in one commit, and bring the alias file up to it.

    Raises DataError when there is no such version, QualityError when its gate refused it, ExternalError when its bundle is not
    what was registered or a file of it was changed, and ConflictError when another run moved the alias meanwhile.
    """
    history = read_history(context)
    before = holder(history, CHAMPION)
    target = known_version(history, previous_champion(history) if promotion.version is None else promotion.version)
    check_passed(target)
    check_bundle(target.uri, target.hash)
    verified_manifest(target.uri)
    if before and before.version == target.version:
        sync_aliases(context)
        LOG.info(f"  promote: nothing to do, version {target.version} is the champion already")
        return Outcome()
    change = _change(context, promotion, before)

    def revision(rows: History) -> History:
        if (now := holder(rows, CHAMPION)) != before:
            raise ConflictError(_overtaken(target.version, now))
        return with_alias(rows, target.version, CHAMPION, change)

    snapshot = change_models(context, revision)
    LOG.info(f"  promote: version {target.version} is the champion, {_shown(before)} was")
    return Outcome(outputs={MODELS.name: snapshot} if snapshot else {}, artifacts={"model": target.uri})


def _change(context: Context, promotion: Promotion, before: ModelVersion | None) -> Change:
    now = datetime.now(UTC)
    if promotion.version is None:
        why = promotion.reason or f"rolled back from {_shown(before)}"
        return Change("rolled_back", promotion.by, why, context.run_id, now)
    return Change("promoted", promotion.by, promotion.reason or "no reason given", context.run_id, now)


def _shown(version: ModelVersion | None) -> str:
    return f"version {version.version}" if version else "no version"


def _overtaken(version: int, now: ModelVersion | None) -> str:
    who = f"{_shown(now)} is the champion now" + (f" (run {now.run_id}, by {now.changed_by})" if now else "")
    return (
        f"promote: another run moved the alias champion while this one was about to: {who}. Version {version} was not "
        f"promoted. Run the command again if it is still wanted."
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "unknown"
