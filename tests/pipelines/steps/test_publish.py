"""Publish, promote and roll back on small tables: what is registered, what is refused, and who wins a race."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import ConflictError, DataError, ExternalError, QualityError, RingmillError
from pipelines.io.iceberg import IcebergTable
from pipelines.registry.aliases import ModelBundle, alias_uri, champion
from pipelines.registry.digest import bundle_hash, check_bundle
from pipelines.registry.gate import Comparison
from pipelines.registry.versions import ModelVersion, current
from pipelines.runtime.command_line import main
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.runs import Run
from pipelines.steps import promote as promoting
from pipelines.steps.drift import trained
from pipelines.steps.evaluation import evidence as gathering
from pipelines.steps.evaluation.assessment import assess
from pipelines.steps.evaluation.evidence import Measured, stored_comparison
from pipelines.steps.promote import Promotion, promote_step
from pipelines.steps.publish import publish_step
from pipelines.steps.registry import read_history, sync_aliases
from schemas import tables
from schemas.contract import Table
from setup.postgres import free_port
from tests.conftest import session_on
from tests.contexts import quiet_context
from tests.pipelines.steps.promoter import promote_beside_another
from tests.processes import environment
from tests.root import ROOT
from tests.sample import pipeline

numbers = itertools.count()
WHOLE = {"format": 1, "files": {}, "task": {"kind": "binary"}}
MANIFEST = {**WHOLE, "parity": {"rows": 9, "difference": 1e-8}, "onnx": {"features": 0.0, "scores": 1e-7, "missing": None}}
Edit = Callable[[dict[str, Any]], object]


class Models:
    """A pipeline whose models were never trained: tables and bundles hold what publish reads of a training."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.folder = folder
        self.spark = spark
        self.name = f"models_{abs(hash(folder)) % 10**8}"

    def context(self, edit: Edit = lambda _: None) -> Context:
        """A run of its own over the pipeline's tables."""
        config = pipeline(self.folder, self.name, lambda content: (content.pop("registry"), edit(content)))
        return quiet_context(self.spark, config, f"run{next(numbers)}")

    def train(
        self,
        auc: float = 0.7,
        *,
        gate_failed: bool = False,
        manifest: dict[str, Any] | None = None,
        artifacts: dict[str, str] | None = None,
    ) -> str:
        """What training and evaluating a model leave; the training run's id."""
        context = self.context()
        run = context.run_id
        bundle = self.folder / "models" / run
        bundle.mkdir(parents=True)
        (bundle / "manifest.json").write_text(json.dumps({**MANIFEST, "run_id": run} if manifest is None else manifest))
        features = Table("features", (tables.ROW_ID,))
        context.lake.append_rows(features, [{"row_id": 1}])
        table = IcebergTable(self.spark, context.lake.identifier("features"))
        table.tag(f"train_{run}", int(table.snapshot_id() or 0))
        common = {"pipeline": self.name, "config_hash": "c", "code_version": "1+abc", "seconds": 1.0, "fingerprint": run}
        now = datetime.now(UTC)
        status, error = ("failed", "evaluate: the model misses its gate") if gate_failed else ("succeeded", None)
        context.runs.add(
            Run(run, job="train", status="succeeded", started_at=now, inputs={"features": "features1"},
                artifacts={"model": str(bundle)}, **common)  # type: ignore[arg-type]
        )  # fmt: skip
        context.runs.add(
            Run(f"{run}_evaluate", job="evaluate", status=status, error=error, started_at=now,
                inputs={"train": run, "features": "features1"}, artifacts=artifacts or {}, **common)  # type: ignore[arg-type]
        )  # fmt: skip
        self._evaluated(context, auc)
        return run

    def _evaluated(self, context: Context, auc: float) -> None:
        start, end = context.bounds
        rows = [
            {"run_id": f"{context.run_id}_evaluate", "interval_from": start, "interval_to": end, "split": split,
             "model_run_id": context.run_id, "metric": metric, "value": value, "baseline": baseline}
            for split, metric, value, baseline in (
                ("test", "auc", auc, None), ("test", "log_loss", 0.5, None), ("test", "calibration_error", 0.03, None),
                ("validation", "auc", 0.99, None), ("test", "auc", 0.01, "mean"),
            )
        ]  # fmt: skip
        with context.audit("evaluate") as audit:
            audit.write_rows(tables.EVALUATION_METRICS, rows, context.whose_interval)
            audit.publish()

    def publish(self, edit: Edit = lambda _: None, run: str | None = None, *, force: bool = False) -> Context:
        """Publish the last evaluated model, or a run's."""
        context = self.context(edit)
        execute(publish_step(run), context, force=force)
        return context

    def promote(self, version: int | None = None, reason: str = "", by: str = "ann") -> Context:
        """Promote a version, or roll back."""
        context = self.context()
        execute(promote_step(Promotion(version, by, reason)), context, force=True)
        return context

    def aliases(self) -> dict[int, str | None]:
        """The aliases of all versions."""
        return {row.version: row.alias for row in current(read_history(self.context()))}


@pytest.fixture
def models(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """A pipeline without a model, in which each new one is a little better than the champion."""
    monkeypatch.setattr(gathering, "compare", lambda *_: Comparison(1, "log_loss", -0.01, -0.02, 0.0))
    return Models(spark, tmp_path)


def to_champion(content: dict[str, Any]) -> None:
    """A model that passes becomes champion at once."""
    content["registry"] = {"alias": "champion"}


def failed_promotions(models: Models) -> int:
    """How many runs of promote failed."""
    return [run.status for run in models.context().runs.all("promote")].count("failed")


def test_without_an_evaluated_model_nothing_is_published_or_promoted(models: Models) -> None:
    with pytest.raises(DataError, match=r"publish: no model has been evaluated for .* Run jobs/evaluate\.py"):
        models.publish()
    with pytest.raises(DataError, match=r"no version 1; the registry is empty"):
        models.promote(1)
    assert failed_promotions(models) == 1


class Lifecycle(NamedTuple):
    """A pipeline's first three models, published and promoted in turn, and what the registry held after each step."""

    models: Models
    first_run: str
    publication: Context
    features_snapshot: int | None
    first: ModelVersion
    promoted: ModelVersion
    aliases: dict[str, dict[int, str | None]]
    champions: dict[str, ModelBundle]


@pytest.fixture(scope="module")
def lifecycle(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lifecycle:
    """Publishes, promotes and rolls back once for all tests of the registry's states."""
    models = Models(spark, tmp_path_factory.mktemp("lifecycle"))
    aliases: dict[str, dict[int, str | None]] = {}
    champions: dict[str, ModelBundle] = {}

    def note(step: str) -> None:
        aliases[step], champions[step] = models.aliases(), champion(models.context().config)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(gathering, "compare", lambda *_: Comparison(1, "log_loss", -0.01, -0.02, 0.0))
        first_run, publication = models.train(), models.publish()
        note("first")
        [first] = read_history(publication)
        features_snapshot = publication.lake.snapshot_id("features")
        models.publish()  # done already
        models.publish(force=True)  # the same model again is no other version
        note("first again")
        models.train()
        models.publish()
        note("second")
        models.promote(2, "better on new routes", "bob")
        note("promoted")
        promoted = next(row for row in current(read_history(publication)) if row.version == 2)
        models.promote(2)  # the champion already
        models.promote()
        note("rolled back")
        with pytest.raises(DataError, match=r"no champion came before version 1"):
            models.promote()
        models.train()
        models.publish(to_champion)
        note("third")
    return Lifecycle(models, first_run, publication, features_snapshot, first, promoted, aliases, champions)


def test_the_first_model_that_passes_is_champion(lifecycle: Lifecycle) -> None:
    assert lifecycle.aliases["first"] == {1: "champion"}
    assert lifecycle.champions["first"].version == 1


def test_a_version_has_its_run_its_metrics_and_its_lineage(lifecycle: Lifecycle) -> None:
    row, run = lifecycle.first, lifecycle.first_run
    assert (row.train_run_id, row.state, row.change, row.changed_by) == (run, "passed", "published", "jobs/publish.py")
    assert row.metrics == {"auc": 0.7, "log_loss": 0.5, "calibration_error": 0.03}
    assert row.lineage.runs == {
        "train": run, "evaluate": f"{run}_evaluate", "features": "features1", "publish": lifecycle.publication.run_id,
    }  # fmt: skip
    assert row.lineage.snapshots == {"features": lifecycle.features_snapshot}
    assert row.lineage.code == "1+abc"


def test_the_same_model_again_is_no_other_version(lifecycle: Lifecycle) -> None:
    assert lifecycle.aliases["first again"] == {1: "champion"}


def test_a_promotion_moves_the_alias_and_keeps_who_and_why(lifecycle: Lifecycle) -> None:
    assert lifecycle.aliases["second"] == {1: "champion", 2: "challenger"}
    assert lifecycle.aliases["promoted"] == {1: None, 2: "champion"}
    moved = lifecycle.promoted
    assert lifecycle.champions["promoted"][:3] == (2, moved.uri, moved.hash)
    assert (moved.change, moved.changed_by, moved.change_reason) == ("promoted", "bob", "better on new routes")


def test_a_rollback_returns_to_the_champion_before_until_there_was_none(lifecycle: Lifecycle) -> None:
    assert lifecycle.aliases["rolled back"] == {1: "champion", 2: None}
    assert failed_promotions(lifecycle.models) == 1  # the second rollback


def test_a_model_that_passes_may_become_champion_at_once(lifecycle: Lifecycle) -> None:
    assert lifecycle.aliases["third"] == {1: None, 2: None, 3: "champion"}
    assert lifecycle.champions["third"].version == 3


def test_the_documented_query_names_the_champion_of_a_day(lifecycle: Lifecycle) -> None:
    context = lifecycle.models.context()
    reigns = sorted((row for row in read_history(context) if row.alias == "champion"), key=lambda row: row.valid_from)
    # The times of its rows are moved to days in March.
    bounds = ["2026-03-01 08:00", "2026-03-02 08:00", "2026-03-02 20:00", "2026-03-05 00:00", None]
    frame = context.spark.createDataFrame(
        [
            (row.version, "champion", start, end, row.changed_by, row.change_reason)
            for row, start, end in zip(reigns, bounds, bounds[1:], strict=False)
        ],
        "version int, alias string, valid_from string, valid_to string, changed_by string, change_reason string",
    ).selectExpr("*", "cast(valid_from as timestamp) as f", "cast(valid_to as timestamp) as t")
    frame = frame.drop("valid_from", "valid_to").withColumnsRenamed({"f": "valid_from", "t": "valid_to"})
    frame.createOrReplaceTempView("models_by_day")
    page = (ROOT / "docs" / "registry.md").read_text()
    query = re.search(r"```sql\n(.*?)```", page, re.DOTALL)
    assert query
    assert [row.version for row in reigns] == [1, 2, 1, 3]

    def champions(day: str) -> list[int]:
        sql = query[1].replace("lake.flights.models", "models_by_day").replace("2026-03-14", day)
        return [row.version for row in context.spark.sql(sql).collect()]

    assert champions("2026-02-28") == []
    assert champions("2026-03-01") == [1]
    assert champions("2026-03-02") == [1, 2, 1]
    assert champions("2026-03-04") == [1]
    assert champions("2026-03-05") == [3]
    assert champions("2026-11-28") == [3]


def test_a_refused_model_is_exit_4_in_the_table_and_used_by_nothing(models: Models) -> None:
    good = models.train()
    models.publish()
    bad = models.train(auc=0.5)
    with pytest.raises(QualityError) as caught:
        models.publish(lambda c: c.update(registry={"minimum": {"auc": 0.6}, "calibration_error": 0.01}))
    assert caught.value.exit_code == 4
    expected = (
        "auc on test is 0.5000; evaluate.minimum.auc is 0.55",
        "auc on test is 0.5000; registry.minimum.auc is 0.6",
        "calibration_error on test is 0.0300; registry.calibration_error is 0.01",
    )
    assert "; ".join(expected) in str(caught.value)
    context = models.context()
    row = next(row for row in current(read_history(context)) if row.version == 2)
    assert (row.state, row.alias, row.reasons, row.train_run_id) == ("refused", None, expected, bad)
    with pytest.raises(QualityError, match=r"version 2 was refused by its gate and is not used: auc on test"):
        models.publish(lambda c: c.update(registry={"minimum": {"auc": 0.6}, "calibration_error": 0.01}))
    with pytest.raises(QualityError, match=r"version 2 was refused by its gate"):
        models.promote(2)
    assert models.aliases() == {1: "champion", 2: None}
    with pytest.raises(DataError, match="version 2 is not among the versions that passed their gate"):
        champion(context.config, "2")
    assert trained(models.context()).run_id == good
    models.publish(lambda c: c["evaluate"].update(minimum={}))  # another gate, which it passes
    assert models.aliases() == {1: "champion", 2: None, 3: "challenger"}
    assert trained(models.context()).run_id == bad


def test_drift_uses_no_model_whose_evaluation_failed(models: Models) -> None:
    with pytest.raises(DataError, match="drift: no model has been trained"):
        trained(models.context())
    bad = models.train(gate_failed=True)
    with pytest.raises(DataError, match=rf"no trained model has passed its gate; run {bad}: evaluate: the model misses"):
        trained(models.context())
    good, _ = models.train(), models.train(gate_failed=True)
    assert trained(models.context()).run_id == good


def test_a_worse_model_or_one_without_parity_is_refused(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    models.train(manifest={**WHOLE, "parity": {"rows": 0, "difference": 0.0}})
    with pytest.raises(QualityError, match="no parity figures"):
        models.publish()
    assert models.aliases() == {1: None}
    models.train()
    models.publish()
    compared = []

    def compare(context: Context, uri: str, rival: Any, *_: object) -> Comparison:
        compared.append((uri, rival.version))
        return Comparison(rival.version, "log_loss", 0.02, 0.01, 0.03)

    monkeypatch.setattr(gathering, "compare", compare)
    run = models.train()
    with pytest.raises(QualityError, match=r"worse than the champion, version 2: log_loss .* interval \+0\.0100 to \+0\.0300"):
        models.publish()
    assert compared == [(str(models.folder / "models" / run), 2)]
    assert models.aliases() == {1: None, 2: "champion", 3: None}


def measured(models: Models, run: str) -> Measured:
    """What evaluate knows of a model."""
    context = models.context()
    train = next(one for one in context.runs.all("train") if one.run_id == run)
    return Measured(train, train.artifacts["model"], bundle_hash(train.artifacts["model"]), {"auc": 0.7, "log_loss": 0.5})


def test_evaluate_says_how_a_model_compares_with_the_champion(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    first = models.train()
    gate: tuple[list[str], list[str]] = (["auc at least 0.55", "parity within 1e-05"], [])
    alone = assess(models.context(), measured(models, first))
    assert (alone.gate, alone.champion, alone.comparison) == (gate, "There is no champion yet to compare it with.", None)
    models.publish()
    itself = assess(models.context(), measured(models, first))
    assert (itself.gate, itself.champion) == (gate, "It is the champion itself, version 1.")

    second = models.train()
    comparison = Comparison(1, "log_loss", -0.01, -0.02, -0.005)
    monkeypatch.setattr(gathering, "compare", lambda *_: comparison)
    better = assess(models.context(), measured(models, second))
    assert better.champion == (
        "It is better than the champion, version 1: its log loss is lower by 0.0100 (95% interval 0.0050 to 0.0200)."
    )
    assert better.gate == ([*gate[0], "not worse than the champion"], [])

    monkeypatch.setattr(gathering, "compare", lambda *_: Comparison(1, "log_loss", 0.02, 0.01, 0.03))
    margin = {"registry": {"champion": {"margin": 0.005}, "minimum": {"auc": 0.71}, "drift": {"psi": 0.2}}}
    worse = assess(models.context(lambda content: content.update(margin)), measured(models, second))
    assert worse.champion.startswith("It is worse than the champion, version 1: its log loss is higher by 0.0200 (95%")
    assert worse.gate.bounds[1:] == (
        ["auc at least 0.71", "parity within 1e-05", "psi from train to test at most 0.2",
         "not worse than the champion by more than 0.005"]
    )  # fmt: skip
    assert [reason.split(" ")[0] for reason in worse.gate.missed] == ["auc", "drift_metrics", "worse"]

    def unreadable(*_: object) -> Comparison:
        raise ExternalError("model /m: its manifest can't be read.")

    monkeypatch.setattr(gathering, "compare", unreadable)
    unknown = assess(models.context(), measured(models, second))
    assert unknown.champion == "It could not be compared with the champion, version 1: model /m: its manifest can't be read."
    silent = assess(models.context(lambda content: content.update(registry={"champion": None})), measured(models, second))
    assert silent.champion == ""


def test_publish_uses_evaluates_comparison_unless_the_champion_changed(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    models.train()
    models.publish()
    comparison_file = models.folder / "comparison.json"
    run = models.train(artifacts={"comparison": str(comparison_file)})
    rivals = []

    def compare(context: Context, uri: str, rival: Any, *_: object) -> Comparison:
        rivals.append(rival.version)
        return Comparison(rival.version, "log_loss", 0.02, 0.01, 0.03)

    monkeypatch.setattr(gathering, "compare", compare)
    worse = assess(models.context(), measured(models, run)).comparison
    assert worse
    comparison_file.write_text(worse.model_dump_json())
    for edit in (lambda _: None, lambda content: content.update(registry={"champion": {"replicates": 300}})):
        with pytest.raises(QualityError, match="worse than the champion, version 1"):
            models.publish(edit)
    assert rivals == [1, 1]  # by evaluate, and by the publish whose gate is another one
    context = models.context()
    [now] = [row for row in current(read_history(context)) if row.alias == "champion"]
    assert stored_comparison(context, str(comparison_file), now) == worse.comparison
    assert stored_comparison(context, str(comparison_file), now.model_copy(update={"hash": "another"})) is None
    assert stored_comparison(context, str(comparison_file), now.model_copy(update={"version": 9})) is None
    comparison_file.write_text("{}")
    assert stored_comparison(context, str(comparison_file), now) is None
    assert stored_comparison(context, str(models.folder / "none.json"), now) is None


def test_a_calibrated_copy_of_the_bundle_is_what_is_registered(models: Models) -> None:
    folder = models.folder / "calibrated"
    folder.mkdir()
    run = models.train(artifacts={"calibrated_model": str(folder)})
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, "run_id": run, "calibrated": True}))
    models.publish()
    [row] = read_history(models.context())
    assert (row.uri, row.hash) == (str(folder), bundle_hash(str(folder)))


def test_a_bundle_deleted_behind_the_registry_is_exit_5(models: Models) -> None:
    for _ in range(2):
        run = models.train()
        models.publish()
    (models.folder / "models" / run / "added").touch()
    with pytest.raises(ExternalError, match=rf"models/{run}: manifest\.json does not name added; expected no other files"):
        models.promote(2)
    shutil.rmtree(models.folder / "models" / run)
    with pytest.raises(ExternalError, match=rf"models/{run}: its manifest can't be read .* promote another version") as caught:
        models.promote(2)
    assert caught.value.exit_code == 5
    with pytest.raises(ExternalError, match="its manifest can't be read"):
        models.publish(force=True)
    assert models.aliases() == {1: "champion", 2: "challenger"}


def test_an_alias_file_that_lags_is_written_anew(models: Models) -> None:
    models.train()
    context = models.publish()
    path = Path(alias_uri(context.config))
    assert not sync_aliases(context)
    for content in ('{"format": 1}', path.read_text().replace('"champion": 1', '"champion": 4')):
        path.write_text(content)
        with pytest.raises(DataError):
            champion(context.config)
        assert sync_aliases(context)
        assert champion(context.config).version == 1
    path.unlink()
    models.promote(1)  # nothing to do, but for the file
    assert champion(context.config).version == 1


def test_a_mirror_that_fails_is_a_warning_and_the_model_is_published(models: Models, caplog: pytest.LogCaptureFixture) -> None:
    models.train()
    address = f"http://127.0.0.1:{free_port()}"

    def mirrored(content: dict[str, Any]) -> None:
        content["registry"] = {"mlflow": {"tracking_uri": address}}

    execute(publish_step(), models.context(mirrored), force=False)
    assert models.aliases() == {1: "champion"}
    assert f"registry.mlflow: not up to date: {address}: registered-models/get failed" in caplog.text


def test_of_two_promotions_at_once_one_wins_and_the_other_gets_an_error(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        models.train()
        models.publish()
    both = threading.Barrier(2)

    def wait(uri: str, expected: str) -> None:
        check_bundle(uri, expected)
        both.wait(timeout=60)  # both have read who is champion

    monkeypatch.setattr(promoting, "check_bundle", wait)

    def race(version: int | None) -> RingmillError | None:
        try:
            models.promote(version, by=f"by{version}")
        except RingmillError as error:
            return error
        return None

    for pair in ((2, 3), (1, None), (2, 2)):
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(race, pair))
        lost = [error for error in results if error]
        assert len(lost) == 1
        assert isinstance(lost[0], ConflictError)
        assert lost[0].exit_code == 5
        now = [version for version, alias in models.aliases().items() if alias == "champion"]
        assert len(now) == 1
        assert f"version {now[0]} is the champion now (run run" in str(lost[0])
        assert champion(models.context().config).version == now[0]
    spans = sorted((row for row in read_history(models.context()) if row.alias == "champion"), key=lambda row: row.valid_from)
    assert [one.valid_to for one in spans[:-1]] == [other.valid_from for other in spans[1:]]


@pytest.mark.slow
def test_of_two_processes_that_promote_at_once_one_wins_and_one_gets_an_error(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "warehouse").mkdir()
    shared = Models(session_on(spark, tmp_path / "warehouse"), tmp_path)
    for _ in range(3):
        shared.train()
        shared.publish(lambda content: content.update(registry={"champion": None}))
    command = [sys.executable, "-m", "tests.pipelines.steps.promoter", str(tmp_path), shared.name, "2"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE) as other:
        mine = promote_beside_another(shared.spark, tmp_path, shared.name, 3)
        output, _ = other.communicate(timeout=120)
    lost = {3: str(mine) if mine else "", 2: output.strip()}
    codes = sorted((mine.exit_code if mine else 0, other.returncode))
    assert codes == [0, 5]
    [winner] = [version for version, error in lost.items() if not error]
    [loser] = [version for version, error in lost.items() if error]
    assert f"version {winner} is the champion now (run run_of_{winner}, by by{winner})" in lost[loser]
    assert shared.aliases() == {1: None, winner: "champion", loser: shared.aliases()[loser]}
    assert shared.aliases()[loser] in (None, "challenger")
    assert champion(shared.context().config).version == winner


def test_a_publication_whose_champion_changed_meanwhile_is_refused(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        models.train()
        models.publish()
    models.train()

    def overtaken(*_: object) -> Comparison:
        models.promote(2)
        return Comparison(1, "log_loss", -0.01, -0.02, 0.0)

    monkeypatch.setattr(gathering, "compare", overtaken)
    with pytest.raises(ConflictError, match=r"the champion changed while .* it is version 2 \(run run\d+, by ann\) now"):
        models.publish()
    assert models.aliases() == {1: None, 2: "champion"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --version --rollback is required"),
        (["--version", "2", "--rollback"], "argument --rollback: not allowed with argument --version"),
        (["--version", "two"], "argument --version: invalid int value: 'two'"),
    ],
)
def test_a_promotion_that_names_no_version_is_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("promote", ["--config", "conf/flights.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
