"""Fit, transform and write of features against the Spark ML way, side by side: seconds, ratios, memory, the same numbers.

`make bench-features` writes rows of 32 numbers and 8 words, a few of them missing, as Parquet; then both work on the same
files, in turn, each in an application of its own on the embedded cluster, which first does all of it on few rows, so that Java
has the code. Numbers are imputed with the mean, half of them z-scored, half min-max scaled; words become ids by frequency. The
peer is Imputer, StringIndexer, VectorAssembler, StandardScaler and MinMaxScaler; it writes Parquet by Spark's own writer, ours
an Iceberg table of Parquet files, sorted by row id within a file. What is fitted must be the same to 1e-9.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import Imputer, MinMaxScaler, StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from benchmarks.memory import peak_memory
from benchmarks.results import store
from pipelines.config import FeaturesConfig, LakeConfig
from pipelines.features.files import FeatureWriter
from pipelines.features.fit import FitResult, fit, requests
from pipelines.features.fitted import FittedCategorical, FittedNumeric
from pipelines.features.groups import LABELLED, labelled_splits
from pipelines.features.profiles import profile, sampling_step
from pipelines.features.sketches import ProfileRequest
from pipelines.io.audit import Audit
from pipelines.io.catalog import catalog_settings
from pipelines.io.lake import Lake
from pipelines.io.row_groups import files_of
from pipelines.io.task_files import FileLayout, WrittenFile, run_tasks
from pipelines.launch.barrier import slots, warm_up_sql
from pipelines.steps.features import IMPORTED_BY_TASKS
from schemas import tables

NUMBERS, WORDS = 32, 8
ZSCORED = tuple(f"n{at}" for at in range(NUMBERS // 2))
MINMAXED = tuple(f"n{at}" for at in range(NUMBERS // 2, NUMBERS))
WORDED = tuple(f"w{at}" for at in range(WORDS))
SIZES = (3, 7, 12, 24, 60, 120, 400, 900)
MISSING = 0.02
FEW = 200_000
SPLITS = ("train", "test")
INTERVAL = {"interval_from": datetime(2013, 1, 1, tzinfo=UTC), "interval_to": datetime(2014, 1, 1, tzinfo=UTC)}
ROOT = Path(__file__).resolve().parent.parent
SPEC = FeaturesConfig.model_validate(
    {
        "rows_of": "rows",
        "derive": "none:none",
        "split": {"by": "column", "column": "split"},
        "numeric": {
            **{name: {"impute": "mean", "scale": "zscore"} for name in ZSCORED},
            **{name: {"impute": "mean", "scale": "minmax"} for name in MINMAXED},
        },
        "categorical": {name: {"max_size": 10_000} for name in WORDED},
    }
)


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows for the race; 0 for none")
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[1_000_000, 20_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", nargs=3, metavar=("WHO", "ROWS", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        who, rows, folder = arguments.work
        work(who, int(rows), Path(folder))
        return
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as temporary_folder:
        if arguments.rows:
            race(Path(temporary_folder), arguments.rows, arguments.rounds)
        if arguments.memory_rows:
            memory(Path(temporary_folder), arguments.memory_rows)


def race(folder: Path, rows: int, rounds: int) -> None:
    """Ours and Spark ML on the same rows, in turn."""
    submit("rows", rows, folder)
    runs_by_contender: dict[str, list[dict[str, Any]]] = {"ours": [], "Spark ML": []}
    for _ in range(rounds):
        for who, runs in runs_by_contender.items():
            runs.append(submit(who, rows, folder))
    grid = Table("what", "ours, seconds", "Spark ML, seconds", "ratio", title=f"{rows:,} rows", title_justify="left")
    for part in ("fit", "transform and write", "all"):
        ours, peer = ([run[part] for run in runs] for runs in runs_by_contender.values())
        ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
        shown = (", ".join(f"{seconds:.1f}" for seconds in values) for values in (ours, peer))
        grid.add_row(part, *shown, f"{min(ratios):.2f} to {max(ratios):.2f}")
    Console(width=110).print(grid)
    peaks = ", ".join(f"{who} {max(run['memory'] for run in runs):,.0f} MiB" for who, runs in runs_by_contender.items())
    print(f"peak memory: {peaks}")
    greatest = difference(runs_by_contender["ours"][0], runs_by_contender["Spark ML"][0])
    print(f"greatest difference of what is fitted: {greatest:.1e}")
    store("features_race", {"rows": rows, "runs": runs_by_contender})


def memory(folder: Path, sizes: list[int]) -> None:
    """Ours on more and more rows: peak memory of its processes, and seconds."""
    grid = Table("rows", "fit, seconds", "all, seconds", "peak memory, MiB", title="Ours as rows grow", title_justify="left")
    figures = []
    for rows in sizes:
        submit("rows", rows, folder)
        run = submit("ours", rows, folder)
        figures.append({"size": rows, **run})
        grid.add_row(f"{rows:,}", f"{run['fit']:.1f}", f"{run['all']:.1f}", f"{run['memory']:,.0f}")
        shutil.rmtree(folder / f"rows-{rows}")
    Console(width=110).print(grid)
    store("features_memory", {"runs": figures})


def submit(who: str, rows: int, folder: Path) -> dict[str, Any]:
    """Let one of them work in a Spark application of its own; its figures."""
    program = str(Path(sys.executable).with_name("spark-submit"))
    command = [program, str(Path(__file__)), "--work", who, str(rows), str(folder)]
    process = subprocess.Popen(command, stdout=sys.stderr)
    peak = peak_memory(process)
    if process.wait():
        raise SystemExit(f"{who} failed with exit code {process.returncode}")
    figures_file = folder / "figures.json"
    figures: dict[str, Any] = json.loads(figures_file.read_text()) if figures_file.exists() else {}
    figures_file.unlink(missing_ok=True)
    return {**figures, "memory": peak() / 2**20}


def difference(ours: dict[str, Any], peer: dict[str, Any]) -> float:
    """The greatest difference of a fitted number, as a share of it; infinite where vocabularies are not the same."""
    if ours["vocabularies"] != peer["vocabularies"]:
        return float("inf")
    pairs = zip(ours["numbers"], peer["numbers"], strict=True)
    return max(float(abs(mine - theirs) / max(abs(theirs), 1e-300)) for mine, theirs in pairs)


def work(who: str, rows: int, folder: Path) -> None:
    """Make the rows, or work on them, few of them first."""
    builder = SparkSession.builder.appName(f"ringmill benchmark features {who}")
    (folder / "lake").mkdir(exist_ok=True)
    for key, value in catalog_settings(LakeConfig(warehouse=str(folder / "lake"))).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    path = str(folder / f"rows-{rows}")
    small_sample = str(folder / f"rows-{FEW}")
    if who == "rows":
        random_rows(spark, rows).write.mode("ignore").parquet(path)
        random_rows(spark, FEW).write.mode("ignore").parquet(small_sample)
        return
    contender: Callable[[DataFrame, str, str, int], dict[str, Any]] = ours if who == "ours" else spark_ml
    out = str(folder / "features")
    if who == "ours":
        warm_up_sql(spark, slots(spark), IMPORTED_BY_TASKS)  # as the step does while Spark derives the examples
    contender(spark.read.parquet(small_sample), small_sample, out, FEW)
    figures = contender(spark.read.parquet(path), path, out, rows)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(folder / "lake")
    (folder / "figures.json").write_text(json.dumps(figures))


def random_rows(spark: SparkSession, rows: int) -> DataFrame:
    """Rows of numbers of many magnitudes and words of Zipf's frequencies, a share of them missing; one row in five is test."""

    def uniform(seed: int) -> Column:
        return (F.xxhash64(F.lit(seed), "row_id") / F.lit(2.0**64)) + 0.5

    def some(seed: int, value: Column) -> Column:
        return F.when(uniform(1000 + seed) >= MISSING, value)

    columns = [some(at, (uniform(at) + uniform(at + 100)) * 10.0 ** (at % 7 - 3) + at).alias(f"n{at}") for at in range(NUMBERS)]
    for at, size in enumerate(SIZES):
        rank = F.floor(F.pow(F.lit(float(size)), uniform(at + 200)))
        columns.append(some(at + 50, F.concat(F.lit(f"word {at} "), rank.cast("string"))).alias(f"w{at}"))
    # Another hash than that of ids, by which rows are sampled: of 20 million rows every fiftieth would be a test row.
    split = F.when(F.pmod(F.xxhash64(F.lit(2000), "row_id"), F.lit(5)) == 0, "test").otherwise("train").alias("split")
    hashed, label = F.xxhash64("row_id").alias("row_id"), F.lit(0.0).alias("label")
    return spark.range(rows).withColumnRenamed("id", "row_id").select(hashed, split, label, *columns)


def ours(rows: DataFrame, folder: str, _out: str, expected: int) -> dict[str, Any]:
    """Profile and fit by the rows' files, transform and write the features table by tasks, commit."""
    spark = rows.sparkSession
    started = time.monotonic()
    rows.count()  # as the step does
    request = ProfileRequest(requests(SPEC), labelled_splits, LABELLED, values=sampling_step(expected))
    files = files_of(folder)
    fitted: FitResult = fit(SPEC, profile(spark, files, [request])[0]["train"])
    fit_seconds = time.monotonic() - started
    parts, passed = files.parts, ("row_id", "split", "label")

    def write(layout: FileLayout) -> list[WrittenFile]:
        return run_tasks(
            spark, len(parts), FeatureWriter(parts, fitted.spec, layout, SPLITS, passed, INTERVAL, sampling_step(expected, 256))
        )

    with Audit(Lake(spark, "bench", "ours"), "bench") as audit:
        partitions = [{**INTERVAL, "split": split} for split in SPLITS]
        audit.write_files(tables.features((), fitted.spec.columns), partitions, INTERVAL, write)
        audit.publish()
    seconds = time.monotonic() - started
    numbers = [f for f in fitted.spec.features if isinstance(f, FittedNumeric)]
    return {
        "fit": fit_seconds, "transform and write": seconds - fit_seconds, "all": seconds,
        "numbers": [value for f in numbers for value in (f.fill, f.offset, f.scale)],
        "vocabularies": [list(word.vocabulary) for word in fitted.spec.features if isinstance(word, FittedCategorical)],
    }  # fmt: skip


def spark_ml(rows: DataFrame, _folder: str, out: str, _expected: int) -> dict[str, Any]:
    """The same by Spark ML's own stages."""
    names = [*ZSCORED, *MINMAXED]
    filled = [f"{name}_filled" for name in names]
    half = NUMBERS // 2
    stages: list[Any] = [
        Imputer(inputCols=names, outputCols=filled, strategy="mean"),
        StringIndexer(inputCols=list(WORDED), outputCols=[f"{name}_id" for name in WORDED], handleInvalid="keep"),
        VectorAssembler(inputCols=filled[:half], outputCol="zscored"),
        VectorAssembler(inputCols=filled[half:], outputCol="minmaxed"),
        StandardScaler(inputCol="zscored", outputCol="zscores", withMean=True),
        MinMaxScaler(inputCol="minmaxed", outputCol="minmax"),
    ]
    started = time.monotonic()
    model: PipelineModel = Pipeline(stages=stages).fit(rows.where("split = 'train'"))
    fit_seconds = time.monotonic() - started
    columns = ["row_id", "split", "zscores", "minmax", *(f"{name}_id" for name in WORDED)]
    model.transform(rows).select(*columns).write.mode("overwrite").parquet(out)
    seconds = time.monotonic() - started
    fitted: list[Any] = model.stages
    imputer, indexer, _, _, zscore, minmax = fitted
    count = rows.where("split = 'train'").count()
    # StandardScaler's deviation is the sample's, ours the population's.
    population = ((count - 1) / count) ** 0.5
    fills = imputer.surrogateDF.select(*names).collect()[0]
    low, high = minmax.originalMin, minmax.originalMax
    scaled = [(zscore.mean[at], zscore.std[at] * population) for at in range(half)]
    scaled += [(low[at], high[at] - low[at]) for at in range(half)]
    return {
        "fit": fit_seconds, "transform and write": seconds - fit_seconds, "all": seconds,
        "numbers": [value for fill, pair in zip(fills, scaled, strict=True) for value in (fill, *pair)],
        "vocabularies": [list(labels) for labels in indexer.labelsArray],
    }  # fmt: skip


if __name__ == "__main__":
    main()
