"""The other examples, whole: real data through all steps, better than their baselines, tables and report as promised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import read_config
from tests.conftest import session_on
from tests.contexts import quiet_context
from tests.jobs.several import in_turn
from tests.jobs.test_jobs import submit_program
from tests.prediction_routes import check_routes
from tests.root import ROOT

pytestmark = pytest.mark.slow
Table = Callable[[str], DataFrame]
PREPARED = ("digits", "sentiment")  # whose graph takes prepared inputs

EXAMPLES: dict[str, tuple[int, dict[str, Any]]] = {
    "weather": (3, {"maximum": {"mae": 5.0}}),
    "digits": (12, {"minimum": {"accuracy": 0.93, "macro_f1": 0.93}}),
    "sentiment": (3, {"minimum": {"auc": 0.79}}),
}
"""Few epochs, and what the model has to reach with them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples' configurations and tables are."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def table_of(spark: SparkSession, folder: Path) -> Callable[[str], Table]:
    """Runs the whole examples, one after the other in one process; reads the tables of one that ended well."""
    for name, (epochs, evaluate) in EXAMPLES.items():
        content: dict[str, Any] = yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text())
        content["lake"]["warehouse"] = str(folder / "warehouse")
        content["train"]["epochs"] = epochs
        content["evaluate"] = evaluate
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    jobs = [("pipeline", "--config", str(folder / f"{name}.yaml")) for name in EXAMPLES]
    ended = dict(zip(EXAMPLES, in_turn(folder, jobs[0][-1], jobs, submit_program), strict=True))
    session = session_on(spark, folder / "warehouse")

    def tables(name: str) -> Table:
        assert ended[name].code == 0, ended[name].printed
        assert ended[name].printed.count("nothing to do") == 0
        report = next((folder / "warehouse" / "_artifacts" / name / "reports").glob("*/report.html"))
        assert report.read_text().count("<svg") >= 3
        return lambda table: session.table(f"lake.{name}.{table}")

    return tables


def test_weather_is_better_than_persistence(table_of: Callable[[str], Table]) -> None:
    table = table_of("weather")
    rows = table("evaluation_metrics").where("split = 'test'").collect()
    metrics = {(row.baseline, row.metric): row.value for row in rows}
    assert metrics[None, "mae"] < 0.9 * metrics["persistence", "mae"] < 0.9 * metrics["same_hour_yesterday", "mae"]
    # The baselines by pandas, from the clean rows.
    clean = table("clean_weather").select("origin", "time_hour", "temp").toPandas()
    temp = clean.set_index(["origin", "time_hour"])["temp"].sort_index()
    features = table("features").where("split = 'test'").select("row_id", "label", "baseline_same_hour_yesterday").limit(200)
    named = features.join(table("clean_weather"), F.expr("row_id = xxhash64(origin, time_hour)")).collect()
    assert len(named) == 200
    for row in named:
        series = temp[row.origin]
        at = series.index.get_loc(row.time_hour)
        assert list(row.label) == pytest.approx(series.iloc[at + 1 : at + 25].tolist(), abs=1e-4)
        assert list(row.baseline_same_hour_yesterday) == pytest.approx(series.iloc[at - 23 : at + 1].tolist(), abs=1e-4)
    embargo = table("features").groupBy("split").agg(F.min("time_hour").alias("first"), F.max("time_hour").alias("last"))
    ends = {row.split: (row.first, row.last) for row in embargo.collect()}
    assert (ends["validation"][0] - ends["train"][1]).total_seconds() > 24 * 3600
    assert (ends["test"][0] - ends["validation"][1]).total_seconds() > 24 * 3600


def test_digits_are_classified(table_of: Callable[[str], Table]) -> None:
    table = table_of("digits")
    predictions = table("predictions").where("split = 'test'").toPandas()
    assert (predictions["predicted"] == predictions["label"]).mean() > 0.93
    assert predictions["predictions"].map(len).unique().tolist() == [10]
    history = table("training_history").orderBy("epoch").collect()
    assert [row.validation_auc for row in history] == [None] * 12
    assert history[-1].validation_accuracy > 0.9


def test_sentiment_is_felt(table_of: Callable[[str], Table]) -> None:
    table = table_of("sentiment")
    stats = table("feature_stats").collect()[0]
    assert (stats.kind, stats.missing) == ("text", 0)
    train = table("features").where("split = 'train'")
    assert train.where(F.size("text") != 48).count() == 0
    assert train.where(F.exists("text", lambda word: word > F.lit(12_001))).count() == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_route_gives_the_same_prediction(
    spark: SparkSession, folder: Path, tmp_path: Path, table_of: Callable[[str], Table], name: str
) -> None:
    table_of(name)
    session = session_on(spark, folder / "warehouse")
    context = quiet_context(session, read_config(folder / f"{name}.yaml"), "routes")
    check_routes(context, tmp_path, prepared=name in PREPARED)
