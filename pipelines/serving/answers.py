"""What the routes that score answer, as JSON objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.serving.predictions import predictions
from pipelines.serving.scorers import Scores
from pipelines.serving.served import ServedModel
from pipelines.serving.tensors import CALIBRATED, OUTPUT


def named_answer(model: ServedModel, scores: Scores, *, several: bool) -> dict[str, Any]:
    """The answer to named values: `predictions` for a list of rows, `prediction` for one object."""
    answers = predictions(scores, model.output, model.threshold, model.bundle.calibration)
    result = {"predictions": answers} if several else {"prediction": answers[0]}
    return {"model": model.name, "version": model.version, **result}


def output_values(model: ServedModel, scores: Scores) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """The values of each output of the Open Inference Protocol, by name."""
    values: dict[str, npt.NDArray[np.floating[Any]]] = {OUTPUT: scores}
    if model.bundle.calibration:
        values[CALIBRATED] = model.bundle.calibration.apply(scores)
    return values
