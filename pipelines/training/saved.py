"""A run's checkpoints: the loop's arrays, the train state and the best epoch's weights, all in one file each."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError
from pipelines.training import checkpoint
from pipelines.training.checkpoint import Checkpoint, Keeper
from pipelines.training.loop import Loop
from pipelines.training.train_state import TrainState

Arrays = list[npt.NDArray[Any]]


class Saved:
    """Writes and restores rank 0's checkpoints in a folder; `best` holds the weights of the best epoch so far."""

    def __init__(self, folder: str, loop: Loop) -> None:
        self.best: Arrays = []
        self._keeper = Keeper(folder)
        self._loop = loop

    def keep(self, state: TrainState, *, best: bool = False) -> None:
        """Begin to write a checkpoint of the state now, which is the best so far or not; raises what the last one raised.

        A state that holds what is no number is not kept: the next step's gradient says so, and what was good stays.
        """
        if best:
            self.best = _arrays(self._loop.network.variables)
        arrays = _arrays(self._loop.variables)
        if all(np.isfinite(array).all() for array in arrays):
            state = state.model_copy(update={"iterations": int(self._loop.optimizer.iterations)})
            self._keeper.keep(state.name(), Checkpoint([*arrays, *self.best], state.model_dump(mode="json")))

    def wait(self) -> None:
        """Until all is written; raises ExternalError when it could not be."""
        self._keeper.wait()

    def restore(self, uri: str) -> None:
        """Put the loop where a checkpoint left it; raises DataError when that is of another network."""
        arrays, variables = checkpoint.load(uri).arrays, self._loop.variables
        self.best = arrays[len(variables) :]
        if len(arrays) < len(variables):
            raise DataError(f"checkpoint {uri}: {len(arrays)} arrays; expected at least {len(variables)}, of this network.")
        for variable, array in zip(variables, arrays, strict=False):
            if variable.shape != array.shape:
                raise DataError(f"checkpoint {uri}: {variable.path} has shape {array.shape}; expected {tuple(variable.shape)}.")
            variable.assign(array)

    def restore_best(self) -> None:
        """Give the network the weights of the best epoch."""
        for variable, array in zip(self._loop.network.variables, self.best, strict=True):
            variable.assign(array)


def _arrays(variables: list[keras.Variable]) -> Arrays:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
