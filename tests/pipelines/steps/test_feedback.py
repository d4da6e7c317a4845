"""From a served request to live drift and metrics: the request log of a flights model, read back by the existing jobs."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from sklearn import metrics as peer

from pipelines.config import read_config
from pipelines.config.base import Interval
from pipelines.features.fitted import FittedCategorical, FittedNumeric, FittedSpec
from pipelines.features.kinds.statistics import Stats
from pipelines.io.lake import Lake
from pipelines.registry.digest import bundle_hash
from pipelines.registry.source import AliasSource
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.runs import Run, RunLog
from pipelines.serving.service import Service
from pipelines.serving.settings import Settings
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.drift import STEP as DRIFT
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.predict import predict_step
from pipelines.steps.registry import change_models
from schemas import tables
from schemas.flights import EXAMPLES, ORIGINS
from tests.pipelines.registry.versions import history, version
from tests.pipelines.serving.in_process import post
from tests.root import ROOT

numbers = itertools.count()
DISTANCE = FittedNumeric(name="distance", fill=900, clip=None, log1p=False, offset=1000, scale=500)
SPEC = FittedSpec(features=(DISTANCE, FittedCategorical(name="origin", vocabulary=ORIGINS)))
THRESHOLD = 0.5
SERVED = [{"distance": 300 + 7 * n, "origin": ORIGINS[n % 2]} for n in range(60)]  # never from LGA
LABELLED = 45


def export_flights(folder: Path) -> Path:
    """Publish a small network over two of the flights' inputs, which was never trained."""
    import keras

    from pipelines.bundles.card import TrainingData
    from pipelines.bundles.signature import input_schema
    from pipelines.config import Network
    from pipelines.training.export import Description, export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead

    keras.utils.set_random_seed(7)
    facts = {"run_id": "train1", "pipeline": "flights", "task": {"kind": "binary", "classes": ["on time", "late"]}}
    network = build_network(Network.model_validate({"hidden": [6]}), SPEC)
    described = Description(input_schema(SPEC, EXAMPLES), TrainingData(title="Flights"))
    export(network, SPEC, BinaryHead(), facts, str(folder), description=described)
    return folder


class Feedback:
    """The pipeline of conf/flights_feedback.yaml on files of a test's own."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark, self.folder = spark, folder
        text = (ROOT / "conf" / "flights_feedback.yaml").read_text()
        path = folder / "feedback.yaml"
        path.write_text(text.replace("requests/", f"{folder}/").replace("warehouse: warehouse", f"warehouse: {folder}"))
        self.config = read_config(path).model_copy(update={"pipeline": "feedback"})
        now = datetime.now(UTC)
        self.interval = Interval(start=now - timedelta(days=1), end=now + timedelta(days=1))

    def run(self, *steps: Any) -> Context:
        """Do steps over the hours around now."""
        interval = self.interval
        lake = Lake(self._spark, "feedback", f"run{next(numbers)}")
        context = Context(self.config, interval, self._spark, lake, RunLog(lake, interval), Console(quiet=True))
        for step in steps:
            execute(step, context, force=False)
        return context

    def publish(self, bundle: Path) -> None:
        """What publish and training leave of a model that saw as many flights from each airport, all of 1,000 miles."""
        hashed = bundle_hash(str(bundle))
        champion = version(1, uri=str(bundle), hash=hashed, alias="champion", metrics={"threshold": THRESHOLD})
        context = self.run()
        change_models(context, lambda _: history(champion))
        context.runs.add(
            Run("train1", job="train", status="succeeded", started_at=datetime.now(UTC), pipeline="feedback", config_hash="c",
                code_version="1", seconds=1.0, fingerprint="f", inputs={"features": "features1"},
                artifacts={"model": str(bundle)})
        )  # fmt: skip
        distances = Stats(90, 0, 1000, 1, 1000, 1000, percentiles=(1000.0,) * 199)
        distances = distances._replace(levels=[1000.0], rows_below=[0.0], rows_at_most=[90.0])
        stats = (distances, Stats(90, 0, shares=(1 / 3,) * 3, vocabulary=ORIGINS))
        start, end = context.bounds
        rows: list[dict[str, object]] = [
            {"run_id": "features1", "interval_from": start, "interval_to": end, "fingerprint": SPEC.fingerprint,
             "position": at, "feature": feature.name, "kind": feature.kind, "fitted": feature.model_dump_json(),
             "provenance": "{}", **of._asdict()}
            for at, (feature, of) in enumerate(zip(SPEC.features, stats, strict=True))
        ]  # fmt: skip
        with context.audit("features") as audit:
            audit.write_rows(tables.FEATURE_STATS, rows, context.whose_interval)
            audit.publish()


def serve(feedback: Feedback) -> list[tuple[str, int, float]]:
    """Serve the rows, three a request, with a request log; each row's request, position and probability."""
    service = Service(AliasSource(feedback.config, "champion"), Settings(request_log=feedback.folder, access_log=False))
    service.load_first()
    bodies = [SERVED[at : at + 3] for at in range(0, len(SERVED), 3)]
    responses = asyncio.run(post(service, *bodies))
    return [
        (headers[b"x-request-id"].decode(), position, one["probability"])
        for _, headers, content in responses
        for position, one in enumerate(content["predictions"])
    ]


@pytest.mark.slow
def test_served_requests_become_live_drift_and_with_labels_live_metrics(spark: SparkSession, tmp_path: Path) -> None:
    feedback = Feedback(spark, tmp_path)
    feedback.publish(export_flights(tmp_path / "model"))
    served = serve(feedback)
    outcomes, header = tmp_path / "outcomes.csv", "served_request,served_row,arr_delay\n"
    outcomes.write_text(header + "another,0,99\n")
    context = feedback.run(INGEST, CLEAN, predict_step(), DRIFT)

    scores = {(row.served_request, row.served_row): row.score for row in context.lake.read("scores").collect()}
    assert scores == pytest.approx({(request, position): p for request, position, p in served}, abs=1e-6)
    moved = {row.feature: row for row in context.lake.read("drift_metrics").where("compared = 'interval'").collect()}
    # A third of the flights left from each airport; now half leave from two of them. An empty bin counts as 0.0001.
    now, then = np.array([0.5, 0.5, 1e-4]), np.array([1, 1, 1]) / 3
    assert moved["origin"].psi == pytest.approx(((now - then) * np.log(now / then)).sum(), rel=1e-3)
    assert context.lake.read("live_metrics").count() == 0

    random = np.random.default_rng(3)
    delays = random.integers(-20, 60, LABELLED)
    labelled = [f"{request},{position},{late}" for (request, position, _), late in zip(served, delays, strict=False)]
    outcomes.write_text(header + "\n".join([*labelled, f"{served[LABELLED][0]},{served[LABELLED][1]},"]))
    again = feedback.run(INGEST, CLEAN, predict_step(), DRIFT)
    truth = delays > 15
    probability = np.array([p for _, _, p in served[:LABELLED]])
    live = {row.metric: row for row in again.lake.read("live_metrics").collect()}
    assert {(row.model_version, row.rows) for row in live.values()} == {(1, LABELLED)}
    assert live["auc"].value == pytest.approx(peer.roc_auc_score(truth, probability), abs=1e-9)
    assert live["log_loss"].value == pytest.approx(peer.log_loss(truth, probability), abs=1e-6)
    assert live["f1"].value == pytest.approx(peer.f1_score(truth, probability >= THRESHOLD, zero_division=0), abs=1e-9)
    assert live["auc"].low < live["auc"].value < live["auc"].high
    report = Path(again.runs.needed("drift", by="the test").artifacts["report"]).read_text()
    assert f"<h2>Version 1 on the {LABELLED} rows whose labels are known</h2>" in report
