"""Score an interval's rows, labelled or not, with a registered model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import DataFrame

from pipelines.cleaning.accounting import Account, check_accounts, check_quarantine
from pipelines.errors import ExternalError
from pipelines.expressions import quoted
from pipelines.features.transform import refused
from pipelines.io.audit import Audit
from pipelines.io.row_groups import Files
from pipelines.io.task_files import FileLayout, WrittenFile, run_tasks
from pipelines.registry.versions import CHAMPION, ModelVersion
from pipelines.runtime.application import Arguments, intervals_of, run_job
from pipelines.runtime.checks import examples_contract
from pipelines.runtime.command_line import predict_parser
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import is_own_interval
from pipelines.runtime.execute import execute
from pipelines.runtime.intervals import run_steps
from pipelines.runtime.step import Outcome, Step
from pipelines.runtime.window import window_accounts, window_runs
from pipelines.serving.bundle import Bundle
from pipelines.serving.raw_batches import ScoringModel
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.examples import examples
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.refused_rows import reason_of, write_refused
from pipelines.steps.registry import resolve
from pipelines.steps.score_files import ScoreWriter
from pipelines.steps.scoring import check_inputs
from schemas import tables
from schemas.contract import Column as ContractColumn

LOG = logging.getLogger(__name__)

NAME = "predict"


def run(argv: Sequence[str]) -> int:
    """Run the job predict and return its exit code."""
    return run_job(NAME, predict_parser(), argv, _work)


def _work(context: Context, arguments: Arguments) -> None:
    """Land and clean what was not yet, then score, an interval at a time; --force scores again and lands nothing again.

    A window in which other intervals are landed is scored as these are.
    """
    for interval in intervals_of(context.config, arguments):
        own = context.over(interval)
        if is_own_interval(own):
            run_steps([INGEST, CLEAN], own, force=False)
        execute(predict_step(arguments.model), own, force=arguments.force)


def predict_step(model: str = CHAMPION) -> Step:
    """The step that scores with a model, given by its alias or its version's number."""
    sections = ("features", "clean", "task")
    return Step(
        NAME, sections, partial(inputs, model=model), partial(work, model=model), derives=True, reads=("clean_*", "models")
    )


def inputs(context: Context, model: str) -> dict[str, str]:
    """The runs that cleaned the window's rows, and the hash of the model; raises DataError when there is none of either."""
    version = resolve(context, model)
    return {**window_runs(context, by=NAME), "model": f"version {version.version}, {version.hash}"}


def work(context: Context, model: str) -> Outcome:
    """Write scores, and to quarantine the rows that become no features, once the rows account for each other.

    Rows of the interval that the same version scored before are replaced. Raises what `resolve` raises, DataError when too many
    rows are quarantined, AccountingError when rows are lost, and ExternalError when the bundle is not whole.
    """
    version = resolve(context, model)
    bundle = Bundle(version.uri)
    if bundle.digest != version.hash:
        raise ExternalError(f"model {version.uri}: it changed just now; expected SHA-256 {version.hash}. Run predict again.")
    rows_of = context.config.features.rows_of
    with examples(context, by=NAME) as (rows, files, sources, _), context.audit(NAME) as audit:
        check_inputs(context, rows, bundle)
        rows_in = sources[rows_of].rows_in - sources[rows_of].duplicates
        whole, filtered = _whole_windows(rows, bundle)
        written = _write_scores(context, audit, files, bundle, version)
        quarantined = partial(refused, whole, bundle.spec)
        refused_rows = write_refused(context, audit, NAME, quarantined, some=written < rows_in - filtered)
        account, *others = window_accounts(NAME, rows_of, sources, written, refused_rows, filtered)
        check_accounts([account])
        check_quarantine([_explained(context, audit, account)], context.config.clean.max_quarantined_share, {rows_of})
        context.write_ledger(audit, NAME, [account, *others])
        return Outcome((account,), audit.publish())


def _whole_windows(rows: DataFrame, bundle: Bundle) -> tuple[DataFrame, int]:
    """The rows whose windows are whole, and how many others there are: they are no examples, and no bad rows either."""
    series = [name for name, kind in bundle.spec.inputs.items() if kind.length is not None]
    if not series:
        return rows, 0
    whole = rows.where(" and ".join(f"{quoted(name)} is not null" for name in series))
    return whole, rows.count() - whole.count()


def _write_scores(context: Context, audit: Audit, files: Files, bundle: Bundle, version: ModelVersion) -> int:
    """Write the scores of the examples' files in the place of the interval's former ones of this version; return how many."""
    identifying = identifying_columns(context)
    label = "label" if context.config.horizon is None else "labels"
    passed = {"row_id": "row_id", **{column.name: column.name for column in identifying}, label: "label"}
    model = ScoringModel(bundle.uri, bundle.digest, version.metrics.get("threshold"))
    partition = {**context.whose_interval, "model_version": version.version}

    def write(layout: FileLayout) -> list[WrittenFile]:
        constants = {"run_id": context.run_id, **partition}
        return run_tasks(context.spark, len(files.parts), ScoreWriter(files.parts, model, layout, passed, constants))

    return audit.write_files(tables.scores(identifying), [partition], partition, write)


def identifying_columns(context: Context) -> tuple[ContractColumn, ...]:
    """The columns of the examples' key and time, but for those whose names the table of scores has itself."""
    contract = examples_contract(context.config)
    names = dict.fromkeys((*contract.key, *((contract.event_time,) if contract.event_time else ())))
    reserved = {column.name.lower() for column in tables.SCORED}
    return tuple(contract.column(name) for name in names if name.lower() not in reserved)


def _explained(context: Context, audit: Audit, account: Account) -> Account:
    """The account with one reason for which a row was quarantined, which is also shown."""
    if not account.quarantined:
        return account
    example = reason_of(context, audit, NAME)
    LOG.warning(f"  predict: {account.quarantined:,} rows quarantined, {example}")
    return replace(account, example=example)
