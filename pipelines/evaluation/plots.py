"""The report's plots, each as SVG text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.config import MONITOR_NAMES
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import Confusion, auc, average_precision, calibration, confusion
from pipelines.evaluation.regression import Errors

if TYPE_CHECKING:  # Matplotlib takes a third of a second, which jobs that draw nothing need not wait for
    from matplotlib.axes import Axes

COLOURS = {"train": "#7a869a", "validation": "#d98324", "test": "#1f6f8b"}
MAX_POINTS = 400
MOST_NAMED = 30


LOSSES = {
    "cross_entropy": "cross-entropy (nats a row)",
    "focal": "focal loss (nats a row)",
    "squared": "squared error (deviations², a row)",
    "absolute": "absolute error (deviations, a row)",
    "huber": "Huber loss (deviations, a row)",
    "quantile": "pinball loss (deviations, a row)",
}
"""What the axis of a loss says: deviations are those of the label on the train split."""


def training_plot(history: Sequence[Mapping[str, Any]], metric: str = "validation_auc", loss: str = "cross_entropy") -> str:
    """Loss of both splits, and the validation metric, by epoch."""
    epochs = [row["epoch"] + 1 for row in history]

    def draw(axes: Axes) -> None:
        axes.plot(epochs, [r["train_loss"] for r in history], color=COLOURS["train"], marker="o", label="train loss")
        axes.plot(
            epochs,
            [r["validation_loss"] for r in history],
            color=COLOURS["validation"],
            marker="o",
            label="validation loss",
        )
        best = next(row for row in reversed(history) if row["best"])
        axes.axvline(best["epoch"] + 1, color="#999", linestyle=":", label=f"kept: epoch {best['epoch'] + 1}")
        axes.locator_params(axis="x", integer=True)
        right = axes.twinx()
        right.plot(epochs, [r[metric] for r in history], color=COLOURS["test"], linestyle="--")
        right.set_ylabel(f"validation {MONITOR_NAMES[metric]} (dashed)", color=COLOURS["test"])
        right.spines["top"].set_visible(False)
        axes.set(xlabel="epoch", ylabel=LOSSES[loss])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)

    return _svg(draw)


def binary_plots(curves: Mapping[str, Curve], threshold: float, classes: tuple[str, str], bins: int) -> dict[str, str]:
    """All that there is to see of a binary classifier, by title."""
    matrices = {
        f"Confusion at {threshold:.3f}, {split}": confusion_plot(confusion(curve, threshold), classes)
        for split, curve in curves.items()
    }
    return {
        "ROC": roc_plot(curves),
        "Precision and recall": precision_recall_plot(curves),
        "Calibration": calibration_plot(curves, bins),
        "Threshold": threshold_plot(curves["validation"], threshold),
        **matrices,
    }


def roc_plot(curves: Mapping[str, Curve]) -> str:
    """True against false positive rate."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#bbb", linestyle=":")
        for name, curve in curves.items():
            x = np.concatenate([[0], curve.false_positives / curve.negatives.sum()])
            y = np.concatenate([[0], curve.true_positives / curve.positives.sum()])
            _line(axes, x, y, name, f"{name}, AUC {auc(curve):.3f}")
        axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
        axes.legend(loc="lower right")

    return _svg(draw)


def precision_recall_plot(curves: Mapping[str, Curve]) -> str:
    """Precision against recall, with the share of positives as the floor."""

    def draw(axes: Axes) -> None:
        for name, curve in curves.items():
            precision = curve.true_positives / (curve.true_positives + curve.false_positives)
            recall = curve.true_positives / curve.positives.sum()
            _line(axes, recall, precision, name, f"{name}, average precision {average_precision(curve):.3f}")
            axes.axhline(curve.positives.sum() / curve.rows, color=COLOURS[name], linestyle=":", linewidth=1)
        axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        axes.legend(loc="upper right")

    return _svg(draw)


def threshold_plot(curve: Curve, chosen: float) -> str:
    """Precision, recall and F1 on validation, by threshold, and the threshold that was chosen."""
    true, rows = curve.true_positives, curve.true_positives + curve.false_positives
    positives = curve.positives.sum()
    lines = {"precision": true / rows, "recall": true / positives, "F1": 2 * true / (rows + positives)}

    def draw(axes: Axes) -> None:
        drawn = _drawn_points(len(curve.scores))
        for (name, values), colour in zip(lines.items(), COLOURS.values(), strict=True):
            axes.plot(curve.scores[drawn], values[drawn], color=colour, label=name)
        axes.axvline(chosen, color="#999", linestyle=":", label=f"chosen: {chosen:.3f}")
        axes.set(xlabel="threshold (validation)", ylim=(0, 1.02))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)

    return _svg(draw)


def calibration_plot(curves: Mapping[str, Curve], bins: int) -> str:
    """Share of positives against mean score, by bin."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#bbb", linestyle=":")
        for name, curve in curves.items():
            by_bin = calibration(curve, bins)
            axes.plot(by_bin.score, by_bin.share, color=COLOURS[name], marker="o", label=name)
        axes.set(xlabel="mean score of the bin", ylabel="share of positives in the bin")
        axes.legend(loc="upper left")

    return _svg(draw)


def confusion_plot(counts: Confusion, classes: tuple[str, str]) -> str:
    """The confusion matrix: rows are the truth, columns the verdict."""
    tp, fp, fn, tn = counts
    matrix = np.array([[tn, fp], [fn, tp]])
    shares = matrix / matrix.sum(axis=1, keepdims=True)

    def draw(axes: Axes) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(2, 2):
            text = f"{matrix[row, column]:,.0f}\n{shares[row, column]:.1%}"
            colour = _on_blue(shares[row, column])
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks([0, 1], classes)
        axes.set_yticks([0, 1], classes)
        axes.set(xlabel="predicted", ylabel="true")
        axes.spines[:].set_visible(False)

    return _svg(draw)


def _on_blue(share: float) -> str:
    """A colour that is read on a cell of that share, by day and by night: the page recolours what is pure black."""
    return "#ffffff" if share > 0.5 else "#101010"


def classes_plot(confusion: npt.NDArray[np.float64], classes: Sequence[str]) -> str:
    """The confusion matrix of several classes: rows are the truth, columns the verdict; shares of the truth by colour."""
    row_totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        axes.imshow(confusion / row_totals, cmap="Blues", vmin=0, vmax=1)
        if len(classes) <= MOST_NAMED:
            for row, column in np.argwhere(confusion > 0):
                colour = _on_blue(confusion[row, column] / row_totals[row, 0])
                axes.text(column, row, f"{confusion[row, column]:,.0f}", ha="center", va="center", color=colour, fontsize=7)
            axes.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
            axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="true")
        axes.spines[:].set_visible(False)

    return _svg(draw)


def horizon_plot(errors: Mapping[str, Errors], unit: str) -> str:
    """Mean absolute error by step of the horizon: the model's and each baseline's."""

    def draw(axes: Axes) -> None:
        for index, (name, sums) in enumerate(errors.items()):
            steps = np.arange(1, len(sums.rows) + 1)
            style: dict[str, Any] = {"color": COLOURS["test"], "marker": "o"} if index == 0 else {"linestyle": "--"}
            axes.plot(steps, sums.absolute / sums.rows, label=name, markersize=3, **style)
        axes.locator_params(axis="x", integer=True)
        axes.set(xlabel="step ahead", ylabel=f"mean absolute error ({unit})" if unit else "mean absolute error", ylim=(0, None))
        axes.legend()

    return _svg(draw)


def agreement_plot(true: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64], rows: npt.NDArray[Any], unit: str) -> str:
    """Predicted against true numbers: the darker, the more rows."""

    def draw(axes: Axes) -> None:
        low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
        axes.plot([low, high], [low, high], color="#bbb", linestyle=":")
        axes.scatter(true, predicted, c=np.log1p(rows), cmap="Blues", vmin=-1, s=9, marker="s")
        axes.set(xlabel=f"true ({unit})" if unit else "true", ylabel=f"predicted ({unit})" if unit else "predicted")

    return _svg(draw)


def _line(axes: Axes, x: Any, y: Any, name: str, label: str) -> None:
    """A curve of at most MAX_POINTS points, evenly taken: the page stays small, the eye sees no difference."""
    drawn = _drawn_points(len(x))
    axes.plot(x[drawn], y[drawn], color=COLOURS[name], label=label)


def _drawn_points(points: int) -> npt.NDArray[np.int64]:
    drawn: npt.NDArray[np.int64] = np.unique(np.linspace(0, points - 1, MAX_POINTS).astype(np.int64))
    return drawn


def _svg(draw: Callable[[Axes], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "svg.hashsalt": "ringmill",
            "text.parse_math": False,  # classes and units are texts, dollar signs and all
            # The page is seen through, light or dark.
            "savefig.transparent": True,
            "legend.frameon": False,
        }
    ):
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
