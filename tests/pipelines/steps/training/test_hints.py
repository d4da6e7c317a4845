"""What is said of a training that runs as configured, but hardly as its author meant."""

from __future__ import annotations

from pipelines.config import Multiclass, Regression
from pipelines.steps.training.hints import training_hints
from pipelines.training.job import TrainingJob
from tests.pipelines.training.test_job import job


def of_45_rows(ranks: int, batch_size: int, **config: object) -> TrainingJob:
    """A training on 45 rows."""
    training = job(ranks, batch_size=batch_size, **config)
    return training.model_copy(update={"train": training.train.model_copy(update={"batch_size": batch_size})})


BOTH = {0: 30, 1: 15}


def test_a_step_that_takes_the_whole_train_split_gets_a_hint() -> None:
    # A rank has 23 of the 45 rows at most: 23 a step are one step, 22 are two. Batches of 2 make 12 steps of 23.
    assert list(training_hints(of_45_rows(2, 23), BOTH)) == [
        "each epoch is 1 step, one change of the weights: 2 ranks with train.batch_size 23 take 46 rows a step, and the train "
        "split has 45. Set train.batch_size to 2 for 12 steps an epoch"
    ]
    assert list(training_hints(of_45_rows(2, 22), BOTH)) == []
    assert list(training_hints(of_45_rows(1, 44), BOTH)) == []
    [alone] = training_hints(of_45_rows(1, 1024), BOTH)
    assert alone.endswith("1 rank with train.batch_size 1,024 take 1,024 rows a step, and the train split has 45. Set "
                          "train.batch_size to 4 for 12 steps an epoch")  # fmt: skip
    [in_parts] = training_hints(of_45_rows(1, 48, accumulation=3), BOTH)
    assert in_parts.endswith("Set train.batch_size to 3 for 15 steps an epoch")


def test_a_split_with_no_more_rows_than_ranks_has_no_smaller_batch() -> None:
    [hint] = training_hints(of_45_rows(45, 1), BOTH)
    assert hint.endswith("45 ranks with train.batch_size 1 take 45 rows a step, and the train split has 45")


def test_a_weight_of_a_class_without_train_rows_is_named() -> None:
    weighted = of_45_rows(2, 4, class_weights={"positive": 3.0})
    assert list(training_hints(weighted, BOTH)) == []
    assert list(training_hints(weighted, {0: 45})) == [
        "train.class_weights weighs positive, but no row of the train split is of that class"
    ]
    letters = Multiclass(kind="multiclass", classes=("a", "b", "c"))
    several = of_45_rows(2, 4, class_weights={"b": 2.0, "c": 2.0}).model_copy(update={"task": letters})
    assert list(training_hints(several, {0: 40, 1: 5})) == [
        "train.class_weights weighs c, but no row of the train split is of that class"
    ]
    assert list(training_hints(weighted.model_copy(update={"task": Regression(kind="regression")}), {})) == []
