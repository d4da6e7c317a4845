"""The names that Keras gives to activations, initializers and optimizers: known here, so that a wrong one is refused before
Spark starts, without the seconds that importing Keras takes. Those of Keras 3.15; a test holds them against Keras itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from pipelines.config.train import TrainConfig

ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
    "tanh_shrink",
)  # fmt: skip
"""Functions that need no argument."""

INITIALIZERS = (
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform",
    "normal", "one", "ones", "orthogonal", "random_normal", "random_uniform", "truncated_normal", "uniform",
    "variance_scaling", "zero", "zeros",
)  # fmt: skip
CLASSES = (
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal",
    "VarianceScaling", "Zeros",
)  # fmt: skip
"""Initializers by the names of their classes, which Keras takes as well."""

SHARED = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip
"""Options of every optimizer."""

MOMENTS = ("beta_1", "beta_2", "epsilon")
OPTIMIZERS = {
    "Adadelta": ("rho", "epsilon"),
    "Adafactor": ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    "Adagrad": ("initial_accumulator_value", "epsilon"),
    "Adam": (*MOMENTS, "amsgrad"),
    "AdamW": (*MOMENTS, "amsgrad"),
    "Adamax": MOMENTS,
    "Ftrl": (
        "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength",
        "l2_shrinkage_regularization_strength", "beta",
    ),
    "Lamb": MOMENTS,
    "Lion": ("beta_1", "beta_2"),
    "Muon": (
        "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_embeddings", "muon_a", "muon_b", "muon_c",
        "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate",
    ),
    "Nadam": MOMENTS,
    "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "SGD": ("momentum", "nesterov"),
    "ScheduleFreeAdamW": (*MOMENTS, "warmup_steps"),
}  # fmt: skip
"""Optimizers that need no other one, each with its own options beside `SHARED`."""


def check_keras_names(train: TrainConfig) -> None:
    """Raise ValueError when section `train` names an activation, initializer, optimizer or option of one that Keras has not.

    With `network.build` activation and initializer mean what the function takes them for, and are not checked.
    """
    if problems := list(_wrong(train)):
        raise ValueError("; ".join(problems))


def _wrong(train: TrainConfig) -> Iterator[str]:
    network, optimizer = train.network, train.optimizer
    if network.build is None:
        yield from _unknown("network.activation", "activation", network.activation, ACTIVATIONS)
        if isinstance(network.initializer, str) and network.initializer not in CLASSES:
            yield from _unknown("network.initializer", "initializer", network.initializer, INITIALIZERS)
    yield from _unknown("optimizer.name", "optimizer", optimizer.name, OPTIMIZERS)
    if optimizer.name in OPTIMIZERS:
        options = (*OPTIMIZERS[optimizer.name], *SHARED)
        for option in optimizer.options:
            yield from _unknown("optimizer.options", f"option of {optimizer.name}", option, options)


def _unknown(key: str, subject: str, name: str, known: Collection[str]) -> Iterator[str]:
    if name not in known:
        by_lower = {option.lower(): option for option in known}
        close = get_close_matches(name.lower(), by_lower, n=1)
        meant = f" (did you mean {by_lower[close[0]]}?)" if close else ""
        yield f"train.{key}: unknown {subject} '{name}'{meant}; expected one of {', '.join(known)}"
