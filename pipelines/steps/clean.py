"""Validate every landed row of the interval: it is clean, quarantined, a duplicate or filtered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from operator import itemgetter
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts, check_quarantine
from pipelines.cleaning.expectations import BrokenRule, check_failures, check_freshness, check_volume, merge_broken
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.outliers import fit_fences
from pipelines.cleaning.rows import split_validated
from pipelines.cleaning.source_lines import line_numbers, with_lines
from pipelines.expressions import union_of
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Bound
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import landing_run, replaced_intervals, report_replaced
from pipelines.runtime.landed import landed, landed_with, late_intervals, late_runs, may_come_late
from pipelines.runtime.promises import check_promises, rules_explained
from pipelines.runtime.secret import hash_key_of
from pipelines.runtime.step import BulkStep, Outcome
from pipelines.steps.bulk import clean as bulk
from pipelines.steps.clean_checks import check_landed, may_be_empty, report_warnings
from pipelines.steps.validation import CleanedSource, OnePass, SourceTable, TwoPasses, Validation, find_shared_keys
from schemas import tables
from schemas.contract import Table

BROADCAST_ROWS = 1_000_000


class Result(NamedTuple):
    """One source's account, the rules that were broken, and its validated rows, among which are all that were refused."""

    account: Account
    broken: list[BrokenRule]
    validated: DataFrame


def inputs(context: Context) -> dict[str, str]:
    """The run that landed the interval's rows, and those that landed late ones; raises DataError when none did the first, and
    ConfigError when the interval cuts through one that is cleaned.
    """
    replaced_intervals(context, "clean")
    return {"ingest": landing_run(context), **late_runs(context)}


def work(context: Context) -> Outcome:
    """Write the sources' clean tables, the quarantine and the broken rules, once their accounts close.

    Raises DataError when too many rows of a source are quarantined, none is left or a rule that must hold is broken,
    AccountingError when rows are lost, and ConfigError when Spark can't read a rule.
    """
    check_promises(context)
    with rules_explained(context), ExitStack() as frames, context.audit("clean") as audit:
        validations = _validations(context, frames)
        _check_landed(context, validations)
        results = context.each(lambda name: _write_clean(context, audit, validations[name]))
        accounts = tuple(result.account for result in results.values())
        broken = [rule for result in results.values() for rule in result.broken]
        check_accounts(accounts)
        check_failures(broken)
        check_quarantine(accounts, context.config.clean.max_quarantined_share, may_be_empty(context))
        replaced = report_replaced(context, "clean", replaced_intervals(context, "clean"))
        context.at_once(
            lambda: _write_quarantine(context, audit, validations, results),
            lambda: _write_broken(context, audit, broken),
            lambda: context.write_ledger(audit, "clean", accounts, replaced),
        )
        return Outcome(accounts, audit.publish())


def _validations(context: Context, frames: ExitStack) -> dict[str, Validation]:
    """How each source is validated; those that others refer to come first, since their clean rows must be known."""
    contracts = {name: context.config.contract(name) for name in context.config.sources}
    references = {name: {to.source for to in contract.references} for name, contract in contracts.items()}
    referred = set().union(*references.values())
    opened = context.each(lambda name: _open(context, contracts[name], may_be_large=name not in referred))
    in_one: dict[str, OnePass] = {}
    in_two: dict[str, TwoPasses] = {}
    order = TopologicalSorter(references)
    order.prepare()
    while ready := order.get_ready():
        complete = {name: _with_references(opened[name][0], in_one) for name in ready}
        in_two |= {name: TwoPasses(complete[name], keys, frames) for name in ready if (keys := opened[name][1]) is not None}
        names = [name for name in ready if name not in in_two]
        validations = context.at_once(*(partial(OnePass.of, context, complete[name], frames) for name in names))
        in_one |= zip(names, validations, strict=True)
        order.done(*ready)
    return {name: in_two.get(name) or in_one[name] for name in contracts}


def _open(context: Context, contract: Table, *, may_be_large: bool) -> tuple[SourceTable, DataFrame | None]:
    """A source's rows, counted, without those that they refer to; and, where two passes pay, the keys that several share."""
    # Counted from the landed table's own metadata, not from the frame whose leaks the account is to show.
    rows = landed(context, contract.name).count()
    raw = landed(context, contract.name, rows)
    extras = context.sources[contract.name].drift == "add"
    inputs = CleaningInputs(fences=fit_fences(raw, contract), key=hash_key_of(context, contract), extras=extras)
    source = SourceTable(contract, raw, rows, inputs)
    return source, find_shared_keys(source) if may_be_large else None


def _with_references(source: SourceTable, validated: Mapping[str, OnePass]) -> SourceTable:
    clean = {to.source: validated[to.source].clean for to in source.contract.references}
    large = {name for name in clean if validated[name].source.rows > BROADCAST_ROWS}
    return replace(source, inputs=source.inputs._replace(referenced_rows=clean, large_sources=large))


def _write_clean(context: Context, audit: Audit, validation: Validation) -> Result:
    staged = validation.write(context, audit)
    broken = _broken(context, validation.source.contract, staged)
    return Result(staged.account, broken, staged.validated)


def _broken(context: Context, contract: Table, staged: CleanedSource) -> list[BrokenRule]:
    """All rules that are broken: of rows, of freshness and of volume. Those that refuse nothing are reported at once."""
    rules = [*merge_broken(staged.broken), *check_freshness(contract, staged.newest, context.interval.end)]
    if contract.volume:
        account = staged.account
        rules += check_volume(contract, account.rows_in - account.filtered, landed_before(context, contract))
    report_warnings(rules)
    return rules


def landed_before(context: Context, contract: Table) -> list[int]:
    """How many rows of a source belong to each of the intervals before this one, the latest first, as its `volume` wants."""
    where = {"step": "clean", "source": contract.name, "interval_from": Bound("<", context.interval.start)}
    before = sorted(context.lake.rows(tables.ROW_LEDGER, where), key=itemgetter("interval_from"), reverse=True)
    assert contract.volume
    return [row["rows_in"] - row["filtered"] for row in before[: contract.volume.runs]]


def _check_landed(context: Context, validations: Mapping[str, Validation]) -> None:
    """Raise DataError when the interval's raw rows are not those that ingest counted: clean rows would go for nothing."""
    ledger = context.lake.rows(tables.ROW_LEDGER, {**context.whose_interval, "step": "ingest"})
    counted = {row["source"]: row["rows_out"] for row in ledger}
    for name, validation in validations.items():
        rows = landed_with(context, name).count() if may_come_late(context, name) else validation.source.rows
        check_landed(name, rows, counted.get(name, rows))


def _write_quarantine(
    context: Context, audit: Audit, validations: Mapping[str, Validation], results: Mapping[str, Result]
) -> None:
    """Write the refused rows, in the place of these sources' former ones; raises AccountingError on a leak."""
    parts = [
        with_lines(
            split_validated(results[name].validated, validation.source.contract, validation.source.inputs).quarantined,
            line_numbers(_whole_files(context, name)),
        ).withColumn("source", F.lit(name))
        for name, validation in validations.items()
        if results[name].account.quarantined
    ]
    if parts:
        rows = context.stamped(union_of(parts))
        written = audit.write(tables.QUARANTINE, rows, context.replaced & F.col("source").isin(*validations))
    else:
        written = audit.write_rows(tables.QUARANTINE, [], {**context.whose_replaced, "source": tuple(validations)})
    expected = sum(result.account.quarantined for result in results.values())
    check_accounts([Account("quarantine", "all sources", expected, written)])


def _whole_files(context: Context, name: str) -> DataFrame:
    rows = context.raw(name)
    return rows if context.sources[name].sliced else rows.where(context.in_interval)


def _write_broken(context: Context, audit: Audit, broken: list[BrokenRule]) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {"run_id": context.run_id, "interval_from": start, "interval_to": end, **rule._asdict()} for rule in broken
    ]
    audit.write_rows(tables.BROKEN_RULES, rows, context.whose_replaced)


STEP = BulkStep(
    "clean", ("clean", "sources"), inputs, work, bulk=bulk.BULK, late=late_intervals, outdates=True, reads=("raw_*",)
)
