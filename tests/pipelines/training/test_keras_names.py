"""The names by which configurations are checked before Keras is there, against Keras itself."""

from __future__ import annotations

import inspect

import keras
import numpy as np
from keras.src import activations, initializers

from pipelines.config.keras_names import ACTIVATIONS, CLASSES, INITIALIZERS, OPTIMIZERS, SHARED

ABSTRACT = {
    "Constant",
    "constant",
    "Initializer",
    "initializer",
    "STFT",
    "STFTInitializer",
    "stft",
}  # which need arguments, or are no initializer
OF_OTHERS = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer", "OptimizerMap"}  # optimizers that need another one
FIXED = {"self", "learning_rate", "name", "kwargs", "exclude_layers"}  # that are configured elsewhere, or are no numbers


def test_activations_are_those_of_keras_that_need_no_argument() -> None:
    assert set(ACTIVATIONS) == set(activations.ALL_OBJECTS_DICT) - {"threshold"}
    for name in ACTIVATIONS:
        assert keras.activations.get(name)(np.ones((2, 4), np.float32)).shape[0] == 2


def test_initializers_are_those_of_keras_that_make_a_matrix() -> None:
    assert {*INITIALIZERS, *CLASSES} == {str(name) for name in initializers.ALL_OBJECTS_DICT} - ABSTRACT
    for name in (*INITIALIZERS, *CLASSES):
        assert keras.initializers.get(name)((3, 4)).shape == (3, 4)


def test_optimizers_and_their_options_are_those_of_keras() -> None:
    classes = {name: value for name in dir(keras.optimizers) if inspect.isclass(value := getattr(keras.optimizers, name))}
    assert set(OPTIMIZERS) == set(classes) - OF_OTHERS
    for name, options in OPTIMIZERS.items():
        assert {*options, *SHARED} == set(inspect.signature(classes[name].__init__).parameters) - FIXED, name
