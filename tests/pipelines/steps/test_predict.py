"""Batch scoring on a small pipeline: raw rows to scores, with a model that was never trained but is a real bundle."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from pipelines.bundles.calibration import CalibrationEffect, PlattCalibration, add_calibration
from pipelines.bundles.manifest import write_manifest
from pipelines.config import ChampionGate
from pipelines.errors import BundleError, ConfigError, DataError, QualityError
from pipelines.features.fitted import FittedCategorical, FittedChannel, FittedFeature, FittedHashed, FittedNumeric, FittedSpec
from pipelines.io.row_groups import files_of
from pipelines.io.task_files import FileLayout, Write, WrittenFile
from pipelines.registry.digest import bundle_hash
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.serving import scorers
from pipelines.serving.bundle import Bundle
from pipelines.serving.raw_batches import ScoringModel, raw_arrays, score_raw_batches
from pipelines.steps import predict, score_files
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.evaluation.comparison import compare
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.predict import predict_step
from pipelines.steps.registry import change_models
from pipelines.steps.score_files import ScoreWriter
from pipelines.steps.scoring import score_examples
from schemas import tables
from tests.contexts import quiet_context
from tests.pipelines.older import drop_prepared_onnx
from tests.pipelines.registry.versions import history, version
from tests.pipelines.steps.rides import EXAMPLES
from tests.sample import pipeline

numbers = itertools.count()
DAY = """id,at,miles,seats,town,minutes_late
1,2013-05-01T08:00:00Z,12.5,4,Aachen,0
2,2013-05-01T09:00:00Z,,,Bonn,30
3,2013-05-01T10:00:00Z,100,2,Zwickau,1
4,2013-05-01T11:00:00Z,7,1,,9
5,2013-05-01T12:00:00Z,55,4,Bonn,
6,2013-05-01T13:00:00Z,999,4,Bonn,3
7,2013-05-01T14:00:00Z,far,4,Bonn,3
"""
RAW: dict[str, list[Any]] = {
    "miles": [12.5, math.nan, 100.0, 7.0, 55.0],
    "seats": [4.0, math.nan, 2.0, 1.0, 4.0],
    "town": ["Aachen", "Bonn", "Zwickau", "", "Bonn"],
}
"""The rides that can be scored, by id from 1, as a model takes them."""


def _number(name: str, **more: Any) -> FittedNumeric:
    return FittedNumeric(**{"name": name, "fill": 10, "clip": None, "log1p": False, "offset": 10, "scale": 20, **more})


def spec(town: FittedFeature) -> FittedSpec:
    """A fitted spec of the rides."""
    miles, seats = _number("miles", log1p=True, offset=3, scale=1), _number("seats", indicator=True)
    return FittedSpec(features=(miles, seats, town))


IN_WORDS = spec(FittedCategorical(name="town", vocabulary=("Bonn", "Aachen")))
HASHED = spec(FittedHashed(name="town", buckets=5))


def export_model(folder: Path, fitted: FittedSpec, seed: int) -> Path:
    """Publish a small network whose weights follow from the seed."""
    import keras

    from pipelines.bundles.card import TrainingData
    from pipelines.bundles.signature import input_schema
    from pipelines.config import Network
    from pipelines.training.export import Description, export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead

    keras.utils.set_random_seed(seed)
    network = build_network(Network.model_validate({"hidden": [6]}), fitted)
    facts = {"run_id": f"run{seed}", "pipeline": "rides", "task": {"kind": "binary", "classes": ["on time", "late"]}}
    example: dict[str, float | str | list[float | None] | None] = {"miles": 12.5, "seats": 4.0, "town": "Bonn"}
    described = Description(input_schema(fitted, EXAMPLES, [example]), TrainingData(title="Rides", rows={"train": 1}))
    export(network, fitted, BinaryHead(), facts, str(folder), description=described)
    return folder


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with an ONNX graph, and one without, as an earlier version exported it, whose town is hashed as well."""
    folder = tmp_path_factory.mktemp("models")
    return export_model(folder / "onnx", IN_WORDS, 1), drop_prepared_onnx(export_model(folder / "tensorflow", HASHED, 2))


def expected_scores(bundle: Path, raw: dict[str, list[Any]] = RAW) -> npt.NDArray[np.float32]:
    """The scores of raw rows by TensorFlow's SavedModel alone."""
    import tensorflow as tf

    kinds = {"town": tf.string}
    tensors = {name: tf.constant(values, kinds.get(name, tf.float64)) for name, values in raw.items()}
    model = tf.saved_model.load(str(bundle / "saved_model"))
    scores: npt.NDArray[np.float32] = model.serve(tensors).numpy()
    return scores


@dataclass
class Rides:
    """The rides pipeline, with both models registered: version 1, the champion, and version 2."""

    spark: SparkSession
    folder: Path
    name: str

    def run(self, *steps: Any, edit: Callable[[dict[str, Any]], object] = lambda _: None, force: bool = False) -> Context:
        """Do steps over the first of May."""

        def rides(content: dict[str, Any]) -> None:
            content.update(contracts="tests.pipelines.steps.rides", timezone="UTC", evaluate={})
            content["interval"] = {"from": "2013-05-01", "to": "2013-05-02"}
            content["sources"] = {"rides": {"kind": "csv", "path": str(self.folder / "rides.csv")}}
            content["clean"]["max_quarantined_share"] = 1
            content["features"] = {
                "rows_of": "rides",
                "derive": "tests.pipelines.steps.rides:derive",
                "split": {"validation_from": "2013-03-01", "test_from": "2013-04-01"},
                "numeric": {"miles": {}, "seats": {}},
                "categorical": {"town": {}},
            }
            content.pop("search")
            content.pop("registry")
            edit(content)

        config = pipeline(self.folder, self.name, rides)
        context = quiet_context(self.spark, config, f"run{next(numbers)}")
        for step in steps:
            execute(step, context, force=force)
        return context

    def scores(self, number: int) -> list[Any]:
        """A version's rows of the table, in order of their id."""
        return self.run().lake.read("scores").where(f"model_version = {number}").orderBy("id").collect()


@pytest.fixture(scope="module")
def rides(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, bundles: tuple[Path, Path]) -> Rides:
    """The rides of a day, landed and cleaned once for all tests."""
    folder = tmp_path_factory.mktemp("rides")
    (folder / "rides.csv").write_text(DAY)
    day = Rides(spark, folder, "rides")
    context = day.run(INGEST, CLEAN)
    first, second = (
        version(number, uri=str(bundle), hash=bundle_hash(str(bundle)), alias="champion" if number == 1 else None,
                metrics={"threshold": 0.5})
        for number, bundle in enumerate(bundles, start=1)
    )  # fmt: skip
    change_models(context, lambda _: history(first, second, version(3, state="refused", reasons=("auc",))))
    return day


class Predicted(NamedTuple):
    """What the first run of predict wrote, read before other tests run it again."""

    context: Context
    scores: list[Any]
    quarantined: list[Any]
    ledger: list[Any]


@pytest.fixture(scope="module")
def predicted(rides: Rides) -> Predicted:
    """The rides, scored by the champion once for all tests."""
    context = rides.run(predict_step())
    quarantined = context.lake.read("quarantine").where("source = 'predict'").collect()
    ledger = context.lake.read("row_ledger").where("step = 'predict'").collect()
    return Predicted(context, rides.scores(1), quarantined, ledger)


def test_odd_rows_are_scored_as_the_saved_model_scores_them(predicted: Predicted, bundles: tuple[Path, Path]) -> None:
    rows, expected = predicted.scores, expected_scores(bundles[0])
    assert [row.id for row in rows] == [1, 2, 3, 4, 5]
    assert [row.score for row in rows] == pytest.approx(expected.tolist(), abs=1e-6)
    assert [row.predicted for row in rows] == [float(score >= 0.5) for score in expected]


def test_scores_carry_labels_times_and_the_run(predicted: Predicted) -> None:
    rows = predicted.scores
    assert [row.label for row in rows] == [0.0, 1.0, 0.0, 1.0, None]
    assert {(row.calibrated_score, row.predictions, row.labels, row.run_id) for row in rows} == {
        (None, None, None, predicted.context.run_id)
    }
    assert rows[0]["at"].timestamp() == 1367395200  # noon UTC less four hours


def test_rows_without_features_are_quarantined_and_accounted_for(predicted: Predicted) -> None:
    [refused] = predicted.quarantined
    assert refused.reasons == ["miles: expected a finite number"]
    assert '"id":6' in refused.raw
    assert [(r.source, r.rows_in, r.rows_out, r.quarantined, r.duplicates, r.filtered) for r in predicted.ledger] == [
        ("rides", 6, 5, 1, 0, 0)
    ]


def test_a_run_of_predict_names_its_model(predicted: Predicted, bundles: tuple[Path, Path]) -> None:
    run = predicted.context.runs.latest("predict")
    assert run
    assert run.inputs["model"] == f"version 1, {bundle_hash(str(bundles[0]))}"


def test_a_version_is_scored_once_and_replaces_its_own_rows_alone(
    rides: Rides, predicted: Predicted, bundles: tuple[Path, Path]
) -> None:
    before = predicted.context.lake.snapshot_id("scores")
    assert rides.run(predict_step()).lake.snapshot_id("scores") == before  # done already
    again = rides.run(predict_step("1"), force=True)
    assert [(row.id, row.run_id) for row in rides.scores(1)] == [(number, again.run_id) for number in (1, 2, 3, 4, 5)]
    other = rides.run(predict_step("2"))
    assert [row.score for row in rides.scores(2)] == pytest.approx(expected_scores(bundles[1]).tolist(), abs=1e-6)
    assert {row.run_id for row in rides.scores(2)} == {other.run_id}
    assert len(rides.scores(1)) == 5
    assert other.lake.read("quarantine").where("source = 'predict'").count() == 1


def test_partitions_that_are_empty_or_of_one_row_are_scored_alike(
    rides: Rides, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    # Row 6 becomes no features, since a number that is there is not finite.
    context = rides.run()
    bundle = Bundle(str(bundles[0]))
    rows = rides.spark.createDataFrame(
        pa.table({"row_id": [1, 2, 3, 4, 5, 6], "miles": pa.array([12.5, None, 100, 7, 55, math.nan]),
                  "seats": [4, None, 2, 1, 4, 4], "town": ["Aachen", "Bonn", "Zwickau", None, "Bonn", "Bonn"]})
    )  # fmt: skip
    scored = score_examples(context, rows.repartition(9), bundle, (tables.ROW_ID,)).collect()
    assert {row.row_id: row.score for row in scored} == pytest.approx(
        dict(enumerate(expected_scores(bundles[0]).tolist(), start=1)), abs=1e-6
    )
    assert score_examples(context, rows.limit(0), bundle, (tables.ROW_ID,)).collect() == []
    # The same of a hashed word, which is prepared before the graph.
    hashed = export_model(tmp_path / "prepared", HASHED, 4)
    assert [each.name for each in Bundle(str(hashed)).prepared_inputs] == ["numbers", "ids"]
    scored = score_examples(context, rows.repartition(9), Bundle(str(hashed)), (tables.ROW_ID,)).collect()
    assert {row.row_id: row.score for row in scored} == pytest.approx(
        dict(enumerate(expected_scores(hashed).tolist(), start=1)), abs=1e-6
    )
    with pytest.raises(ConfigError, match=r"it takes town, which tests\.pipelines\.steps\.rides EXAMPLES no longer has"):
        score_examples(context, rows.drop("town"), bundle, (tables.ROW_ID,))


def test_what_cannot_be_scored_with_is_refused_and_changes_nothing(rides: Rides, bundles: tuple[Path, Path]) -> None:
    before = rides.run().lake.snapshot_id("scores")
    for model, error, message in (
        ("challenger", DataError, r"model challenger: no version has that alias; there is champion \(version 1\)"),
        ("9", DataError, "no version 9; registered are 1, 2, 3"),
        ("3", QualityError, "version 3 was refused by its gate and is not used: auc"),
    ):
        with pytest.raises(error, match=message):
            rides.run(predict_step(model))
    path = bundles[1] / "features.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"5", b"6", 1))
    try:
        with pytest.raises(BundleError, match=r"features\.json is not as published"):
            rides.run(predict_step("2"), force=True)  # another test may have scored with it
    finally:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"predict of rides: 1 of 6 rows quarantined .*miles: expected a finite number"):
        rides.run(CLEAN, predict_step(), edit=lambda c: c["clean"].update(max_quarantined_share=0.15))
    assert rides.run().lake.snapshot_id("scores") == before


def test_the_files_of_a_repeated_attempt_leave_no_row(rides: Rides, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rides.run(predict_step())
    attempts: list[WrittenFile] = []

    def run_twice(_: SparkSession, tasks: int, write: Write) -> list[WrittenFile]:
        attempts.extend(file for task in range(tasks) for file in write(task))  # whose result reaches nobody
        return [file for task in range(tasks) for file in write(task)]

    monkeypatch.setattr(predict, "run_tasks", run_twice)
    context = rides.run(predict_step(), force=True)
    assert sum(file.rows for file in attempts) == 5
    assert [(row.id, row.run_id) for row in rides.scores(1)] == [(number, context.run_id) for number in (1, 2, 3, 4, 5)]
    files = context.lake.read("scores.files").where("partition.model_version = 1").collect()
    assert sum(file.record_count for file in files) == 5
    assert not {file.uri for file in attempts} & {file.file_path for file in files}
    assert context.lake.read("scores").schema == before.lake.read("scores").schema


@pytest.mark.slow
def test_two_models_are_compared_on_the_test_rows_of_which_both_make_features(rides: Rides, bundles: tuple[Path, Path]) -> None:
    context = rides.run()
    champion = version(1, uri=str(bundles[0]), metrics={})
    comparison = compare(context, str(bundles[1]), champion, ChampionGate(replicates=50))
    labelled = {name: values[:4] for name, values in RAW.items()}
    losses = [log_loss([0, 1, 0, 1], expected_scores(bundle, labelled)) for bundle in bundles]
    assert (comparison.champion, comparison.metric) == (1, "log_loss")
    assert comparison.difference == pytest.approx(losses[1] - losses[0], abs=1e-6)
    assert comparison.low <= comparison.difference <= comparison.high
    assert comparison.low < comparison.high


def scored_rides() -> pa.RecordBatch:
    """The rides as tasks read them, and two that become no features."""
    miles = pa.array([12.5, None, 100, 7, 55, math.nan, math.inf], pa.float64())
    town = pa.array(["Aachen", "Bonn", "Zwickau", None, "Bonn", "Bonn", "Bonn"])
    return pa.record_batch(
        {"row_id": pa.array([1, 2, 3, 4, 5, 6, 7]), "miles": miles, "seats": pa.array([4, None, 2, 1, 4, 4, 4]),
         "town": town.dictionary_encode(), "label": pa.array([0, 1, 0, 1, None, 0, 0], pa.int32()),
         "at": pa.array([1_367_395_200_000_000 + row for row in range(7)], pa.timestamp("us"))}
    )  # fmt: skip


@pytest.mark.parametrize("removed", [(), ("network.onnx",), ("network.onnx", "model.onnx")])
def test_each_graph_of_a_bundle_scores_the_same_rows_alike(
    bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: tuple[str, ...]
) -> None:
    folder = shutil.copytree(bundles[0], tmp_path / "model")
    for name in removed:
        (folder / name).unlink()
    write_manifest(folder, {"task": {"kind": "binary", "classes": ["on time", "late"]}})
    monkeypatch.setattr(scorers, "ROWS_AT_ONCE", 2)
    model = ScoringModel(str(folder), bundle_hash(str(folder)))
    [scored] = score_raw_batches(iter([scored_rides()]), model, ("row_id", "town"))
    assert scored["row_id"].to_pylist() == [1, 2, 3, 4, 5]
    assert scored["score"].to_pylist() == pytest.approx(expected_scores(bundles[0]).tolist(), abs=1e-6)
    refused = scored_rides().slice(5)
    assert list(score_raw_batches(iter([refused]), model, ("row_id",))) == []


def test_a_task_writes_scores_in_the_types_of_the_table_in_files_of_bounded_size(
    bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").mkdir()
    rows = pa.Table.from_batches([scored_rides()])
    pq.write_table(rows, tmp_path / "examples" / "part-0.parquet", row_group_size=3, use_deprecated_int96_timestamps=True)
    schema = pa.schema(
        [("row_id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("town", pa.string()), ("label", pa.float32()),
         ("labels", pa.list_(pa.float32())), ("score", pa.float32()), ("predicted", pa.float32()),
         ("predictions", pa.list_(pa.float32())), ("calibrated_score", pa.float32()), ("model_version", pa.int32())]
    )  # fmt: skip
    layout = FileLayout(schema, (str(tmp_path / "scores"),), "zstd", dictionary=True, group_bytes=1 << 20, page_rows=10)
    model = ScoringModel(str(bundles[0]), bundle_hash(str(bundles[0])), threshold=0.5)
    passed = {"row_id": "row_id", "at": "at", "town": "town", "label": "label"}
    parts = files_of(str(tmp_path / "examples")).parts
    monkeypatch.setattr(score_files, "HELD_BYTES", 0)
    files = list(ScoreWriter(parts, model, layout, passed, {"model_version": 7})(0))
    assert [file.rows for file in files] == [3, 2]  # a file a row group; of the third no row becomes features
    written = pa.concat_tables(pq.ParquetFile(file.uri).read() for file in files)
    assert written.schema.equals(pa.schema([field for field in schema if field.name != "labels"]))
    assert written["at"][0].as_py() == datetime(2013, 5, 1, 8, tzinfo=UTC)
    assert written["town"].to_pylist() == ["Aachen", "Bonn", "Zwickau", None, "Bonn"]
    assert written["label"].to_pylist() == [0, 1, 0, 1, None]
    expected = expected_scores(bundles[0])
    assert written["score"].to_pylist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert written["predicted"].to_pylist() == [float(score >= 0.5) for score in expected]
    assert set(written["model_version"].to_pylist()) == {7}


def test_examples_without_a_row_are_scored_by_no_task(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(0).write.parquet(str(tmp_path / "none"))
    assert files_of(str(tmp_path / "none")).parts == ()


def test_arrays_for_a_model_have_nan_and_empty_text_for_null(bundles: tuple[Path, Path]) -> None:
    batch = pa.record_batch({"miles": pa.array([1.0, None]), "seats": pa.array([None, 2.0]), "town": pa.array([None, "Bonn"])})
    arrays = raw_arrays(batch, IN_WORDS)
    np.testing.assert_array_equal(arrays["miles"], [1.0, np.nan])
    np.testing.assert_array_equal(arrays["seats"], [np.nan, 2.0])
    assert arrays["town"].tolist() == ["", "Bonn"]
    nothing = ScoringModel("/nowhere", "")
    assert list(score_raw_batches(iter([]), nothing, ())) == []
    assert list(score_raw_batches(iter([batch.slice(0, 0)]), nothing, ())) == []  # no row, no model
    with pytest.raises(BundleError, match="it has changed while rows were scored"):
        list(score_raw_batches(iter([batch]), ScoringModel(str(bundles[0]), "other"), ()))


@pytest.mark.slow
def test_rows_without_a_whole_window_are_filtered_and_the_others_scored(spark: SparkSession, tmp_path: Path) -> None:
    rides = Rides(spark, tmp_path, "rides_hourly")

    def hourly(content: dict[str, Any]) -> None:
        content["sources"]["rides"]["path"] = str(tmp_path / "hourly.csv")
        content["features"]["windows"] = {"by": ["town"], "at": "at", "step_minutes": 60}
        content["features"]["sequence"] = {"past": {"of": {"miles": {}}, "length": 2}}

    times = {1: "08", 2: "09", 3: "10", 4: "12"}  # no ride at 11
    lines = [f"{number},2013-05-01T{hour}:00:00Z,{number},4,Bonn,0" for number, hour in times.items()]
    (tmp_path / "hourly.csv").write_text("\n".join([DAY.splitlines()[0], *lines]))
    past = FittedChannel(
        name="past_miles", sequence="past", of="miles", length=2, fill=0, clip=None, log1p=False, offset=1, scale=2
    )
    bundle = export_model(tmp_path / "windows", IN_WORDS.model_copy(update={"features": (*IN_WORDS.features, past)}), 3)
    effect = CalibrationEffect(method="platt", calibration_error=(0.1, 0.0), log_loss=(0.5, 0.4))
    add_calibration(bundle, PlattCalibration(slope=0.5, intercept=-1.0), effect, threshold=0.3)
    only = version(1, uri=str(bundle), hash=bundle_hash(str(bundle)), alias="champion", metrics={})
    change_models(rides.run(), lambda _: history(only))
    context = rides.run(INGEST, CLEAN, predict_step(), edit=hourly)
    raw: dict[str, list[Any]] = {
        "miles": [2.0, 3.0],
        "seats": [4.0, 4.0],
        "town": ["Bonn", "Bonn"],
        "past_miles": [[1.0, 2.0], [2.0, 3.0]],
    }
    rows = rides.scores(1)
    assert [(row.id, row.predicted) for row in rows] == [(2, None), (3, None)]  # no threshold was chosen
    assert [row.score for row in rows] == pytest.approx(expected_scores(bundle, raw).tolist(), abs=1e-6)
    calibrated = expit(0.5 * logit(expected_scores(bundle, raw).astype(np.float64)) - 1)
    assert [row.calibrated_score for row in rows] == pytest.approx(calibrated.tolist(), abs=1e-6)
    [ledger] = context.lake.read("row_ledger").where("step = 'predict'").collect()
    assert (ledger.rows_in, ledger.rows_out, ledger.quarantined, ledger.filtered) == (4, 2, 0, 2)
