"""A report on invented predictions, with what makes real ones wide: many columns, long names, long settings."""

from __future__ import annotations

import numpy as np

from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import all_metrics
from pipelines.evaluation.plots import binary_plots, classes_plot, training_plot
from pipelines.evaluation.report import Findings, Grid, Tile, flattened, render

HISTORY = [
    {"epoch": epoch, "train_loss": train, "validation_loss": other, "validation_auc": 0.8, "best": epoch == 1}
    for epoch, (train, other) in enumerate([(0.7, 0.71), (0.6, 0.63), (0.5, 0.65)])
]


def curves() -> dict[str, Curve]:
    """Scores that are the share of positives, of both splits."""
    scores = np.linspace(0.01, 0.99, 1000)
    return {name: Curve.of(scores, 100 * scores, 100 * (1 - scores)) for name in ("validation", "test")}


def wide_report() -> str:
    """All that a report may have, each as wide as it gets."""
    metrics = {name: all_metrics(curve, 0.5, 10) for name, curve in curves().items()}
    bounds = {"test": {"auc": ConfidenceInterval(0.83, 0.81, 0.85)}}
    names = ("airline_of_the_departure_before_last", "origin")
    slices = Grid(
        "Test rows by airline and origin",
        (*names, "rows", *(text for name in ("auc", "average precision", "log loss") for text in (name, "interval"))),
        [("Southwest Airlines Company of Dallas", "EWR", "12,345", *["0.7544", "0.7465 to 0.7620"] * 3)] * 4,
        words=2,
    )
    difference = [("auc", "+0.0067", "0.0041 to 0.0096", "better"), ("recall", "-0.0454", "-0.0512 to -0.0393", "worse")]
    classes = tuple(f"a class with a long name {number}" for number in range(4))
    return render(
        Findings(
            title="Flights that arrive more than fifteen minutes late at their_destination_without_a_break_in_its_name",
            verdict="On test the model has an AUC of 0.7590 (95% interval 0.7540 to 0.7635). It passes its gate.",
            passed=True,
            tiles=[Tile("AUC on 53,991 test rows", "0.7590", "0.7540 to 0.7635"), Tile("gate", "missed", "1 rule", "bad")],
            task="binary",
            facts={"model": "/a/very/long/path/" + "without_a_place_to_break" * 6, "runs": "features f1, train t1"},
            metrics={**metrics, "gradient boosting": metrics["test"], "another model": {"auc": 0.691}},
            bounds=bounds,
            first=[
                Grid("The model less gradient boosting", ("metric", "difference", "interval", "the model is"), difference),
                Grid("Rows", ("step", "source", *"abcdef"), [("ingest", "flights", *["1,000,000"] * 6)], words=2),
            ],
            plots={
                "Training": training_plot(HISTORY),
                **binary_plots(curves(), 0.5, ("on time", "late"), bins=10),
                "Confusion, test": classes_plot(np.eye(4) * 100, classes),
            },
            grids=[slices],
            drift=[("validation", names[0], "1.200", "0.410", "+0.1%")],
            settings=flattened("", {"train": {"network": {"hidden": [128, 64] * 20}}, "a": {"b" * 60: "c" * 80}}),
        )
    )
