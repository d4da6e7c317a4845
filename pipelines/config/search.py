"""The section `search`: which values of section `train` are tried, and who chooses among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipelines.config.problems import explain
from pipelines.config.train import TrainConfig
from pipelines.model import Model

FIXED = (
    "ranks",
    "monitor",
    "launcher",
    "allow_plain_transport",
    "encrypted_interface",
    "channel_port",
    "retries",
    "checkpoint_steps",
    "tensorboard",
    "timeline",
    "mlflow",
)
FIXED_ENDS = ("_seconds",)
MOST_STEPS = 100_000  # of a span, each of which a grid would try
Number = int | float
Values = dict[str, Any]


class Choices(Model):
    """One of a few values, among which the sampler chooses."""

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]
    """The values, whatever they are: numbers, words, lists, sections."""

    @property
    def grid(self) -> tuple[Any, ...]:
        """All values, in the order in which they are declared."""
        return self.choices


class Span(Model):
    """A number between two, both included."""

    low: Number
    """Least value. Values are whole where both ends are."""
    high: Number
    """Greatest value."""
    log: bool = False
    """Whether values are drawn evenly by their logarithm."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Distance between values. Without it each number, or whole number, may be drawn; a grid needs it."""

    @property
    def whole(self) -> bool:
        """Whether it is one of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[Number, ...]:
        """Both ends, and a number between them that is not round, where such are in it."""
        return (self.low, self.high) if self.whole else (self.low, self.high, self.low + (self.high - self.low) / math.pi)

    @property
    def grid(self) -> tuple[Number, ...]:
        """Every `step`th number; none without a step."""
        if self.step is None:
            return ()
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + self.step * index for index in range(count))

    @model_validator(mode="after")
    def _a_span(self) -> Span:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.step is not None and (self.high - self.low) / self.step > MOST_STEPS:
            raise ValueError(f"step {self.step:g} leaves more than {MOST_STEPS:,} values; expected a longer one")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("log needs a low above 0, and no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step {self.step} of whole numbers; expected a whole one, or bounds such as {float(self.low)}")
        return self


class Halving(Model):
    """Successive halving: at each comparison the best of the trials that came so far go on, the others end."""

    minimum_epochs: Annotated[int, Field(ge=1)] = 1
    """Epochs of a trial before it is first compared with others."""
    factor: Annotated[int, Field(ge=2)] = 3
    """One trial in so many goes on. The next comparison comes after so many times the epochs."""


class SearchConfig(Model):
    """A search for the values of section `train` that `train.monitor` likes best."""

    trials: Annotated[int, Field(ge=1)] = 20
    """Most trials; a grid has no more than it has points."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """Who chooses values, as Optuna has it: `tpe` by earlier trials, `random`, or `grid`, which takes all."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of the choice."""
    halving: Halving | None = None
    """Ends trials early that fall behind. Without it each is trained to its end."""
    space: Annotated[dict[str, Choices | Span], Field(min_length=1)]
    """By dotted path within section `train`, the values to try."""

    @model_validator(mode="after")
    def _a_grid_is_finite(self) -> SearchConfig:
        endless = [path for path, values in self.space.items() if not values.grid]
        if self.sampler == "grid" and endless:
            raise ValueError(f"space: a grid over {', '.join(endless)} has no end; expected choices, or a step")
        return self


def replaced(train: TrainConfig, values: Values) -> TrainConfig:
    """Section `train` with other values at some paths; raises ValueError when a path or value is none of its own."""
    content = train.model_dump()
    for path, value in values.items():
        *above, last = path.split(".")
        section: Any = content
        for part in above:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or (last not in section and not _free(path)):
            known = ", ".join(_paths(train.model_dump()))
            raise ValueError(f"search.space: train has no value {path}; expected some of {known}")
        section[last] = value
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"search.space: {', '.join(values)}: {explain(error, TrainConfig, 'train')[0].rstrip('.')}") from error


def check_search(search: SearchConfig, train: TrainConfig, check: Callable[[TrainConfig], None]) -> None:
    """Raise ValueError when a path is no value of section `train` that may be searched, or a value is none that it can have;
    `check` holds a whole section against the others.
    """
    if fixed := [path for path in search.space if path in FIXED or path.endswith(FIXED_ENDS)]:
        raise ValueError(f"search.space: {', '.join(fixed)} is how training runs, not what is trained; expected other values")
    if train.monitor == "validation_loss" and any(path.split(".")[0] == "loss" for path in search.space):
        raise ValueError("search.space: validation losses of different losses can't be compared; expected another monitor")
    tried = {path: values.choices if isinstance(values, Choices) else values.examples for path, values in search.space.items()}
    for path, values in tried.items():
        for value in values:
            check(replaced(train, {path: value}))
    check(replaced(train, {path: values[0] for path, values in tried.items()}))


def _free(path: str) -> bool:
    """Whether a path leads to where any key is allowed."""
    return path.startswith(("optimizer.options.", "network.options."))


def _paths(content: Values, above: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in content.items():
        if key not in FIXED and not key.endswith(FIXED_ENDS):
            paths += _paths(value, f"{above}{key}.") if isinstance(value, dict) and value else [f"{above}{key}"]
    return paths
