"""Derive raw features, fit them on the train split, scale all rows, and write the training table."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts, check_quarantine
from pipelines.config import Regression
from pipelines.errors import DataError
from pipelines.features import leakage as leaks
from pipelines.features.drift import broken_bounds, measure_drifts
from pipelines.features.files import FeatureSample, FeatureWriter, samples_of
from pipelines.features.fit import FitResult, fit, fit_label, requests, stats_of
from pipelines.features.groups import LABELLED, labelled_splits, train_classes
from pipelines.features.kinds.statistics import TRAIN, Profiles
from pipelines.features.leakage import leak_requests
from pipelines.features.profiles import profile, sampling_step
from pipelines.features.sketches import ProfileRequest
from pipelines.features.target_means import sum_labels
from pipelines.features.transform import refused
from pipelines.io.audit import Audit
from pipelines.io.row_groups import Files
from pipelines.io.task_files import FileLayout, WrittenFile, run_tasks
from pipelines.launch.barrier import slots, warm_up_sql
from pipelines.launch.ranks import warming
from pipelines.runtime.checks import examples_contract
from pipelines.runtime.code import code_version
from pipelines.runtime.context import Context
from pipelines.runtime.step import Outcome, Step
from pipelines.runtime.window import window_accounts, window_runs
from pipelines.stages.split_checks import check_splits, split_warnings
from pipelines.stages.splits import SPLITS
from pipelines.steps.baselines import baseline_columns, label_type
from pipelines.steps.drift import warn_of, write_drift
from pipelines.steps.examples import Examples, examples
from pipelines.steps.refused_rows import reason_of, write_refused
from pipelines.steps.split_counts import (
    SplitFacts,
    check_known,
    check_labels,
    check_names,
    count_features,
    count_splits,
    counts_of,
)
from schemas import tables

LOG = logging.getLogger(__name__)

SAMPLES = 256
IMPORTED_BY_TASKS = ("pandas", "pipelines.features.sketches", "pipelines.features.files")
SAMPLED_FOR_LEAKS = 50_000


def inputs(context: Context) -> dict[str, str]:
    """The runs that cleaned the window's rows; raises DataError, with what to run, when parts of it are not cleaned."""
    return window_runs(context, by=STEP.name)


def work(context: Context) -> Outcome:
    """Write feature_stats, feature_samples, drift_metrics and features, once the rows account for each other.

    Raises DataError when a feature has no value or no variance in the train split, was known too late, a row has no split, or
    too many rows become no features; AccountingError when rows are lost.
    """
    config = context.config.features
    prepared = examples(context, by=STEP.name, baselines=True)
    workers = partial(warm_up_sql, modules=IMPORTED_BY_TASKS)
    with warming(context.spark, slots(context.spark), workers), prepared as derived:
        rows, files = derived.rows, derived.files
        splits = _checked_splits(context, rows)
        # How percentiles are sampled follows from the train split alone, as all that is fitted does.
        trained_on = splits["train"].counts.rows
        profiles, *by_class = profile(context.spark, files, _profile_requests(context, trained_on))
        aucs = leaks.single_feature_auc(config, by_class[0]) if by_class else {}
        fitted = _fit(context, rows, profiles[TRAIN], splits[TRAIN])
        for warning in leaks.leak_warnings(aucs, config.proxy_auc):
            LOG.warning(f"   warning: {warning}")
        with context.audit("features") as audit, context.beside() as beside:
            # What follows from the profiles alone is written while Spark's tasks transform the rows.
            provenance = _provenance(context, derived.snapshots)
            described = [
                beside.start(partial(_write_stats, context, audit, fitted, aucs, provenance)),
                beside.start(partial(_write_drift, context, audit, fitted, profiles)),
            ]
            account = _write_rows(context, audit, derived, files, fitted, splits)
            for each in described:
                each.result()
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
        LOG.warning(f"   warning: {warning}")
    return facts


def _profile_requests(context: Context, train_rows: int) -> list[ProfileRequest]:
    """What is asked of the labelled rows of each split, and, for leaks, of the train split's rows of either class of a binary
    label; of many train rows, of some.
    """
    config = context.config.features
    profile_requests = [ProfileRequest(requests(config), labelled_splits, LABELLED, values=sampling_step(train_rows))]
    if context.config.task.kind == "binary":
        profile_requests.append(
            ProfileRequest(leak_requests(config), train_classes, LABELLED, rows=sampling_step(train_rows, SAMPLED_FOR_LEAKS))
        )
    return profile_requests


def _fit(context: Context, rows: DataFrame, profiles: Profiles, split: SplitFacts) -> FitResult:
    config, task = context.config.features, context.config.task
    train = rows.where((F.col("split") == TRAIN) & F.col("label").isNotNull())
    label = fit_label(split.labels, task) if isinstance(task, Regression) and split.labels else None
    return fit(config, profiles, sum_labels(train, config), label)


def _write_rows(
    context: Context, audit: Audit, derived: Examples, files: Files, fitted: FitResult, splits: Mapping[str, SplitFacts]
) -> Account:
    """Write the labelled rows as features or to quarantine, samples of them, and the ledger; the examples' account.

    Raises DataError when too many are quarantined, and AccountingError when rows are lost.
    """
    labelled = sum(split.counts.rows for split in splits.values())
    unlabelled = sum(split.counts.unlabelled for split in splits.values())
    written, samples = _write(context, audit, files, fitted)
    refuse = partial(_write_refused, context, audit, derived.rows, fitted, some=written != labelled)
    quarantined = refuse() if written != labelled else 0
    counted = (written, quarantined, unlabelled)
    account, *others = window_accounts(STEP.name, context.config.features.rows_of, derived.sources, *counted)
    check_accounts([account])
    if quarantined:
        _check_quarantined(context, audit, replace(account, rows_in=labelled, filtered=0, duplicates=0))
    works: list[Callable[[], object]] = [
        partial(_write_samples, context, audit, samples),
        partial(context.write_ledger, audit, "features", [account, *others]),
    ]
    context.at_once(*works, *([] if quarantined else [refuse]))
    return account


def _write(context: Context, audit: Audit, files: Files, fitted: FitResult) -> tuple[int, list[FeatureSample]]:
    """Write the labelled rows as features; how many became some, and samples of them."""
    config, contract, spec = context.config, examples_contract(context.config), fitted.spec
    carried = (contract.column(contract.event_time),) if contract.event_time else ()
    table = tables.features(carried, spec.columns, label_type(config), tuple(config.features.baselines))
    passed = ("row_id", "split", "label", *(column.name for column in carried), *baseline_columns(config))
    written: list[WrittenFile] = []

    def write(layout: FileLayout) -> list[WrittenFile]:
        sample_every = sampling_step(fitted.stats[0].rows, SAMPLES)
        writer = FeatureWriter(files.parts, spec, layout, SPLITS, passed, context.whose_interval, sample_every)
        written.extend(run_tasks(context.spark, len(files.parts), writer))
        return written

    partitions = [{**context.whose_interval, "split": split} for split in SPLITS]
    return audit.write_files(table, partitions, context.whose_interval, write), samples_of(written)


def _write_refused(context: Context, audit: Audit, rows: DataFrame, fitted: FitResult, *, some: bool) -> int:
    """Write to quarantine the labelled rows that become no features, if there are `some`; how many there are."""
    labelled = rows.where(F.col("label").isNotNull()).withColumn("label", F.col("label").cast(label_type(context.config)))
    return write_refused(context, audit, STEP.name, partial(refused, labelled, fitted.spec), some=some)


def _check_quarantined(context: Context, audit: Audit, account: Account) -> None:
    """Raise DataError when too many labelled rows became no features, or all of a split or class; name the others."""
    config, example = context.config, reason_of(context, audit, STEP.name)
    check_quarantine([replace(account, example=example)], config.clean.max_quarantined_share)
    written = count_features(config, audit.read(tables.features((), {})).where(context.in_interval))
    if empty := [name for name in SPLITS if name not in {row.split for row in written}]:
        raise DataError(
            f"features: no labelled row of the {' and the '.join(empty)} split became features ({account.quarantined:,} rows "
            f"quarantined, for example because of {example!r}); expected some in each of {', '.join(SPLITS)}. No table was "
            f"changed. Fix how they are derived."
        )
    check_splits(counts_of(written, config.timezone), config.task, config.features.split, f"{STEP.name} (after quarantine)")
    LOG.warning(f"   features: {account.quarantined:,} rows quarantined, {example}")


def _provenance(context: Context, snapshots: Mapping[str, int | None]) -> str:
    """What decided the statistics: the clean tables' snapshots, the declared spec, and the code."""
    spec = context.config.digest("features", "task")
    return json.dumps({"snapshots": snapshots, "spec": spec, "code": code_version()}, sort_keys=True)


def _write_stats(context: Context, audit: Audit, fitted: FitResult, aucs: Mapping[str, float], provenance: str) -> None:
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
    audit.write_rows(tables.FEATURE_STATS, rows, context.whose_interval)


def _write_samples(context: Context, audit: Audit, samples: Sequence[FeatureSample]) -> None:
    """Keep about `SAMPLES` rows, raw and as the features table has them, for the model to be held against."""
    stamp = {"run_id": context.run_id, **context.whose_interval}
    audit.write_rows(tables.FEATURE_SAMPLES, [{**stamp, **sample._asdict()} for sample in samples], context.whose_interval)


def _write_drift(context: Context, audit: Audit, fitted: FitResult, profiles: Mapping[str, Profiles]) -> None:
    """Hold validation and test against train: what the split itself brings."""
    spec, trained = fitted.spec, fitted.stats
    stats = {split: stats_of(spec, profiles[split]) for split in SPLITS[1:]}
    moved = {split: measure_drifts(spec, trained, of) for split, of in stats.items()}
    write_drift(context, audit, moved, context.run_id)
    for split, features in moved.items():
        broken = broken_bounds(features, trained, stats[split], context.config.drift)
        warn_of(f"{split} against train", broken)


STEP = Step("features", ("clean", "features", "drift", "task"), inputs, work, derives=True, reads=("clean_*",))
