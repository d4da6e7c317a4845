"""Derive raw features, fit them on the train split, scale all rows, and write the training table."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import load, midnight
from pipelines.fitted import FittedSpec
from pipelines.flows.checks import examples_contract
from pipelines.flows.context import Context, Outcome, Step
from pipelines.io.audit import Audit
from pipelines.stages.accounting import Account, check_accounts
from pipelines.stages.feature_fit import Fit, fit, statistics
from pipelines.stages.feature_transform import transform
from pipelines.stages.splits import split_by_time
from schemas import lake

SAMPLES = 256
UNLABELLED = "_unlabelled"


def inputs(context: Context) -> dict[str, str]:
    """The run that cleaned the interval's rows; raises DataError when none did."""
    clean, replay = context.runs.needed("clean", by="features"), context.runs.latest("replay")
    replayed = {"replay": replay.run_id} if replay and replay.outputs and replay.started_at > clean.started_at else {}
    return {"clean": clean.run_id, **replayed}


def work(context: Context) -> Outcome:
    """Write feature_stats, feature_samples and features, once the rows account for each other.

    Raises DataError when a feature has no value or no variance in the train split, AccountingError when rows are lost.
    """
    config = context.config
    tables = {name: _clean_rows(context, name) for name in config.sources}
    spine = tables[config.features.rows_of].persist()  # the derivation reads it many times
    # Executors that meet an empty cache at once each read the table: this fills it, in one pass.
    rows_in = spine.count()
    examples = _examples(context, tables).persist()  # read by the fit, then by the transformation
    try:
        found = examples.agg(
            *statistics(config.features, "split = 'train' and label is not null"),
            F.count_if(F.col("label").isNull()).alias(UNLABELLED),
        ).collect()[0]
        fitted = fit(config.features, found)
        with context.audit("features") as audit:
            account = _write(context, audit, examples, fitted.spec, rows_in, found[UNLABELLED])
            check_accounts([account])
            _write_stats(context, audit, fitted)
            _write_samples(context, audit, examples, fitted)
            context.stage_ledger(audit, "features", [account])
            return Outcome((account,), audit.publish())
    finally:
        examples.unpersist()
        spine.unpersist()


def _clean_rows(context: Context, name: str) -> DataFrame:
    contract = context.config.contract(name)
    rows = context.lake.read(lake.clean(contract).name).where(context.in_interval)
    return rows.drop("run_id", "interval_from", "interval_to")


def _examples(context: Context, tables: dict[str, DataFrame]) -> DataFrame:
    """The derived rows with their contract's columns, a row id and a split."""
    config, contract = context.config, examples_contract(context.config)
    derive = load(config.features.derive, "features.derive")
    derived: DataFrame = derive(tables, {**config.features.parameters, "timezone": config.timezone}).select(
        *contract.column_names
    )
    days: tuple[date, date] = (config.features.split.validation_from, config.features.split.test_from)
    bounds = (midnight(day, config.timezone) for day in days)
    return derived.withColumns(
        {"row_id": F.xxhash64(*contract.key), "split": split_by_time(F.col(str(contract.event_time)), *bounds)}
    )


def _write(context: Context, audit: Audit, examples: DataFrame, spec: FittedSpec, rows_in: int, unlabelled: int) -> Account:
    contract = examples_contract(context.config)
    event_time = contract.column(str(contract.event_time))
    kept = ("row_id", "split", "label", event_time.name)
    transformed = transform(examples.where(F.col("label").isNotNull()), spec, kept)
    table = lake.features((event_time,), spec.numbers, tuple(word.name for word in spec.words))
    written = audit.stage(table, context.stamped(transformed.rows), context.in_interval)
    refused = context.stamped(transformed.quarantined).withColumn("source", F.lit("features"))
    if not transformed.refused.get["refused"]:
        refused = context.lake.frame(lake.QUARANTINE, [])  # a second pass would find nothing
    quarantined = audit.stage(lake.QUARANTINE, refused, context.in_interval & (F.col("source") == "features"))
    return Account("features", context.config.features.rows_of, rows_in, written, quarantined, filtered=unlabelled)


def _write_stats(context: Context, audit: Audit, fitted: Fit) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {
            "run_id": context.run_id, "interval_from": start, "interval_to": end,
            "fingerprint": fitted.spec.fingerprint, "position": position, "feature": feature.name, "kind": feature.kind,
            "fitted": feature.model_dump_json(), **stats._asdict(),
        }
        for position, (feature, stats) in enumerate(zip(fitted.spec.features, fitted.stats, strict=True))
    ]  # fmt: skip
    audit.stage(lake.FEATURE_STATS, context.lake.frame(lake.FEATURE_STATS, rows), context.in_interval)


def _write_samples(context: Context, audit: Audit, examples: DataFrame, fitted: Fit) -> None:
    """Keep about `SAMPLES` rows before and after, for the model to be held against."""
    every = max(1, fitted.stats[0].rows // SAMPLES)
    some = examples.where(F.col("label").isNotNull() & (F.pmod("row_id", F.lit(every)) == 0))
    raw = F.to_json(F.struct(*(feature.name for feature in fitted.spec.features)))
    rows = transform(some.withColumn("_raw_json", raw), fitted.spec, ("row_id", "_raw_json")).rows
    made = F.to_json(F.struct(*fitted.spec.numbers, *(word.name for word in fitted.spec.words)))
    samples = rows.select("row_id", F.col("_raw_json").alias("raw"), made.alias("features"))
    audit.stage(lake.FEATURE_SAMPLES, context.stamped(samples), context.in_interval)


STEP = Step("features", ("features",), inputs, work)
