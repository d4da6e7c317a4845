"""A run that goes on has its place in the rate's schedule, and its checkpoints are those of the same training alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import Binary, TrainConfig
from pipelines.features.fitted import FittedSpec
from pipelines.training.job import TrainingJob
from pipelines.training.plan import PlannedRowGroup, RowPlan, Start, TrainedPart
from pipelines.training.train_state import TrainState


def job(ranks: int, **config: object) -> TrainingJob:
    """Three epochs of 45 rows, four a rank and step."""
    settings = TrainConfig.model_validate({"ranks": ranks, "batch_size": 4, "epochs": 3, **config})
    group = PlannedRowGroup(path="f", index=0, rows=45)
    plan = RowPlan(groups=(group,), ranks=ranks, batch_size=4, seed=1, shuffle=True, shuffle_rows=20)
    paths = {"checkpoints": "c", "model": "m"}
    common = {"run_id": "r", "pipeline": "p", "task": Binary(), "spec": FittedSpec(features=()), **paths}
    return TrainingJob(config=settings, train=plan, validation=plan, **common)


HALF = TrainState(start=Start(epoch=1, taken=(TrainedPart(ranks=2, steps=3),)), iterations=9)
"""After three of the second epoch's six steps of two ranks, each of which takes 23 rows at most."""


def test_the_same_ranks_stand_where_the_optimizer_counts() -> None:
    resumed = job(2).resumed("uri", HALF)
    assert resumed.train.steps(1) == 3
    assert (resumed.schedule_steps, resumed.schedule_shift) == (18, 0)
    assert job(2).schedule_shift == 0


def test_other_ranks_stand_at_the_same_part_of_their_own_schedule() -> None:
    resumed = job(1).resumed("uri", HALF)
    assert resumed.train.steps(1) == 6  # of 21 rows
    # Its epochs have 12 steps: one whole epoch, and all but six of another, are behind it.
    assert (resumed.schedule_steps, 9 + resumed.schedule_shift) == (36, 18)


def test_a_run_that_has_only_to_be_exported_is_at_the_end_of_its_schedule() -> None:
    done = TrainState(start=Start(epoch=3), iterations=18)
    assert job(2).resumed("uri", done).schedule_shift == 0
    assert 18 + job(1).resumed("uri", done).schedule_shift == 36


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"retries": 7, "channel_port": 9, "launcher": "horovod_spark", "tensorboard": True}, True),
        ({"epochs": 4}, False),
        ({"network": {"hidden": [3]}}, False),
        ({"seed": 2}, False),
    ],
)
def test_what_changes_the_training_is_another_job(change: dict[str, object], same: bool) -> None:
    assert (job(2).fingerprint("v1") == job(3, **change).fingerprint("v1")) == same
    assert job(2).fingerprint("v1") != job(2).fingerprint("v2")


def test_a_network_whose_function_was_edited_is_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / "own_network.py"
    source.write_text("def build(inputs, config): ...\n")
    built = job(2, network={"build": "own_network:build"})
    first = built.fingerprint("v1")
    assert built.fingerprint("v1") == first
    source.write_text("def build(inputs, config): return None\n")
    assert built.fingerprint("v1") != first


@pytest.mark.parametrize("path", ["nowhere.at_all:build", "nowhere:build", "sys:build"])
def test_a_network_whose_function_is_in_no_file_is_left_to_the_ranks_to_refuse(path: str) -> None:
    assert job(2, network={"build": path}).fingerprint("v1") != job(2).fingerprint("v1")
