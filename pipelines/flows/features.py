"""Derive raw features, fit them on the train split, scale all rows, and write the training table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from pipelines.config import Regression
from pipelines.errors import ConfigError, DataError
from pipelines.expressions import col, cols
from pipelines.flows.checks import examples_contract
from pipelines.flows.code import code_version
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.drift import stage_drift, warn_of
from pipelines.flows.examples import examples
from pipelines.flows.refused_rows import reason_of, stage_refused
from pipelines.flows.split_counts import (
    SplitFacts,
    check_known,
    check_labels,
    check_names,
    count_features,
    count_splits,
    counts_of,
)
from pipelines.flows.window import window_accounts, window_runs
from pipelines.io.audit import Audit
from pipelines.launch.barrier import slots
from pipelines.launch.ranks import warming
from pipelines.stages import leaks
from pipelines.stages.accounting import Account, check_accounts, check_quarantine
from pipelines.stages.aggregates import Question, answers, every
from pipelines.stages.drift import broken_bounds, drifts
from pipelines.stages.feature_fit import Fit, fit, fit_label
from pipelines.stages.feature_statistics import questions, stats_of
from pipelines.stages.feature_transform import transform
from pipelines.stages.split_checks import check_splits, split_warnings
from pipelines.stages.splits import SPLITS
from pipelines.stages.target_means import sum_labels
from pipelines.stages.texts import count_words
from schemas import lake
from schemas.contract import ColumnType
from schemas.names import internal

SAMPLES = 256
SAMPLED_FOR_LEAKS = 50_000
RAW_JSON = internal("raw_json")


def inputs(context: Context) -> dict[str, str]:
    """The runs that cleaned the window's rows; raises DataError, with what to run, when parts of it are not cleaned."""
    return window_runs(context, by=STEP.name)


def work(context: Context) -> Outcome:
    """Write feature_stats, feature_samples, drift_metrics and features, once the rows account for each other.

    Raises DataError when a feature has no value or no variance in the train split, was known too late, a row has no split, or
    too many rows become no features; AccountingError when rows are lost.
    """
    config = context.config.features
    laid_out = examples(context, _questions(context), by=STEP.name)
    with warming(context.spark, slots(context.spark)), laid_out as (rows, folder, sources, snapshots):
        splits = _checked_splits(context, rows)
        # How percentiles are sampled follows from the train split alone, as all that is fitted does.
        trained_on = splits["train"].counts.rows
        found, *by_label = answers(context.spark, folder, _questions(context, trained_on))
        aucs = leaks.single_feature_auc(config, by_label[0]) if by_label else {}
        fitted = _fit(context, rows, found["train"], splits["train"])
        for suspect in leaks.suspects(aucs, config.proxy_auc):
            context.console.print(f"   warning: {suspect}", style="yellow")
        labelled = sum(split.counts.rows for split in splits.values())
        unlabelled = sum(split.counts.unlabelled for split in splits.values())
        with context.audit("features") as audit:
            written, quarantined = _write(context, audit, rows, fitted, labelled)
            account, *others = window_accounts(STEP.name, config.rows_of, sources, written, quarantined, unlabelled)
            check_accounts([account])
            if quarantined:
                _check_quarantined(context, audit, replace(account, rows_in=labelled, filtered=0, duplicates=0))
            context.at_once(
                partial(_write_samples, context, audit, rows, fitted),
                partial(_write_stats, context, audit, fitted, aucs, _provenance(context, snapshots)),
                partial(_write_drift, context, audit, fitted, found),
                partial(context.stage_ledger, audit, "features", [account, *others]),
            )
            return Outcome((account,), audit.publish())


def _checked_splits(context: Context, rows: DataFrame) -> dict[str, SplitFacts]:
    """What each split holds; raises DataError when a model can't be trained or evaluated on it, and prints what limits it."""
    config = context.config
    facts = count_splits(config, rows)
    check_names(facts)
    check_known(config, facts)
    check_labels(config, facts)
    counts = {name: of.counts for name, of in facts.items()}
    check_splits(counts, config.task, config.features.split, STEP.name)
    for warning in split_warnings(counts, config.task):
        context.console.print(f"   warning: {warning}", style="yellow", soft_wrap=True)
    return facts


def _trained_on() -> Column:
    return (F.col("split") == "train") & F.col("label").isNotNull()


def _questions(context: Context, train_rows: int = 0) -> list[Question]:
    """What is asked of the labelled rows of each split, and, for leaks, of the train split's rows of either class of a binary
    label; of many train rows, of some.
    """
    config = context.config.features
    asked = [Question(questions(config), F.when(F.col("label").isNotNull(), F.col("split")), values=every(train_rows))]
    if context.config.task.kind == "binary":
        by_class = F.when(_trained_on(), leaks.label_class())
        asked.append(Question(leaks.label_questions(config), by_class, rows=every(train_rows, SAMPLED_FOR_LEAKS)))
    return asked


def _fit(context: Context, rows: DataFrame, found: Mapping[str, Any], split: SplitFacts) -> Fit:
    config, task = context.config.features, context.config.task
    train = rows.where(_trained_on())
    label = fit_label(split.labels, task) if isinstance(task, Regression) and split.labels else None
    return fit(config, found, count_words(train, config), sum_labels(train, config), label)


def _write(context: Context, audit: Audit, rows: DataFrame, fitted: Fit, expected: int) -> tuple[int, int]:
    """Write the `expected` labelled rows as features, or to quarantine those that become none; how many of each."""
    contract, spec = examples_contract(context.config), fitted.spec
    carried = (contract.column(contract.event_time),) if contract.event_time else ()
    kept = ("row_id", "split", "label", *(column.name for column in carried))
    label: ColumnType = "array<float>" if context.config.horizon else "float"
    labelled = rows.where(F.col("label").isNotNull()).withColumn("label", F.col("label").cast(label))
    predicted = tuple(f"baseline_{name}" for name in context.config.features.baselines)
    transformed = transform(_with_baselines(context, labelled, label), spec, (*kept, *predicted), out_of_fold=True)
    table = lake.features(carried, spec.columns, label, tuple(context.config.features.baselines))
    written = audit.stage(table, context.stamped(transformed.rows), context.in_interval)
    return written, stage_refused(context, audit, STEP.name, transformed.quarantined, some=written != expected)


def _check_quarantined(context: Context, audit: Audit, account: Account) -> None:
    """Raise DataError when too many labelled rows became no features, or all of a split or class; name the others."""
    config, example = context.config, reason_of(context, audit, STEP.name)
    check_quarantine([replace(account, example=example)], config.clean.max_quarantined_share)
    written = count_features(config, audit.read(lake.features((), {})).where(context.in_interval))
    if empty := [name for name in SPLITS if name not in {row.split for row in written}]:
        raise DataError(
            f"features: no labelled row of the {' and the '.join(empty)} split became features ({account.quarantined:,} rows "
            f"quarantined, for example because of {example!r}); expected some in each of {', '.join(SPLITS)}. No table was "
            f"changed. Mend how they are derived."
        )
    check_splits(counts_of(written, config.timezone), config.task, config.features.split, f"{STEP.name} (after quarantine)")
    context.console.print(f"   features: {account.quarantined:,} rows quarantined, {example}", style="yellow", soft_wrap=True)


def _with_baselines(context: Context, rows: DataFrame, label: ColumnType) -> DataFrame:
    """Add what each baseline predicts; raises ConfigError for one that is not SQL over the examples' columns."""
    for name, sql in context.config.features.baselines.items():
        try:
            rows = rows.withColumn(f"baseline_{name}", F.expr(sql).cast(label))
        except AnalysisException as error:
            raise ConfigError(
                f"features.baselines.{name}: Spark can't read '{sql}' as {label}: {str(error).splitlines()[0]} Expected SQL "
                f"over the examples' columns."
            ) from error
    return rows


def _provenance(context: Context, snapshots: Mapping[str, int | None]) -> str:
    """What decided the statistics: the clean tables' snapshots, the declared spec, and the code."""
    spec = context.config.digest("features", "task")
    return json.dumps({"snapshots": snapshots, "spec": spec, "code": code_version()}, sort_keys=True)


def _write_stats(context: Context, audit: Audit, fitted: Fit, aucs: Mapping[str, float], provenance: str) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {
            "run_id": context.run_id, "interval_from": start, "interval_to": end,
            "fingerprint": fitted.spec.fingerprint, "position": position, "feature": feature.name, "kind": feature.kind,
            "fitted": feature.model_dump_json(), "auc": aucs.get(feature.name),
            "provenance": provenance, **stats._asdict(),
        }
        for position, (feature, stats) in enumerate(zip(fitted.spec.features, fitted.stats, strict=True))
    ]  # fmt: skip
    if label := fitted.spec.label:
        rows.append(
            {
                "run_id": context.run_id, "interval_from": start, "interval_to": end,
                "fingerprint": fitted.spec.fingerprint, "position": len(rows), "feature": label.name, "kind": label.kind,
                "fitted": label.model_dump_json(), "rows": fitted.stats[0].rows, "mean": label.offset, "stddev": label.scale,
                "minimum": label.minimum, "maximum": label.maximum,
                "provenance": provenance,
            }
        )  # fmt: skip
    audit.stage_rows(lake.FEATURE_STATS, rows, context.whose_interval)


def _write_samples(context: Context, audit: Audit, rows: DataFrame, fitted: Fit) -> None:
    """Keep about `SAMPLES` rows before and after, for the model to be held against."""
    every_so_many = F.pmod("row_id", F.lit(every(fitted.stats[0].rows, SAMPLES)))
    some = rows.where(F.col("label").isNotNull() & (every_so_many == 0))
    times = {field.name for field in rows.schema if field.dataType == TimestampType()}
    raw = F.to_json(F.struct(*(_as_taken(name, name in times) for name in fitted.spec.inputs)))
    made = transform(some.withColumn(RAW_JSON, raw), fitted.spec, ("row_id", RAW_JSON)).rows
    features = F.to_json(F.struct(*cols(fitted.spec.columns)))
    samples = made.select("row_id", F.col(RAW_JSON).alias("raw"), features.alias("features"))
    audit.stage(lake.FEATURE_SAMPLES, context.stamped(samples), context.in_interval)


def _as_taken(name: str, is_time: bool) -> Column:
    """A raw value as a model takes it: of a time the seconds since 1970."""
    return (F.unix_micros(col(name)) / 1e6).alias(name) if is_time else col(name)


def _write_drift(context: Context, audit: Audit, fitted: Fit, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Hold validation and test against train: what the split itself brings."""
    spec, trained = fitted.spec, fitted.stats
    stats = {split: stats_of(spec, found[split]) for split in SPLITS[1:]}
    moved = {split: drifts(spec, trained, of) for split, of in stats.items()}
    stage_drift(context, audit, moved, context.run_id)
    for split, features in moved.items():
        broken = broken_bounds(features, trained, stats[split], context.config.drift)
        warn_of(context, f"{split} against train", broken)


STEP = Step("features", ("clean", "features", "drift", "task"), inputs, work, derives=True)
