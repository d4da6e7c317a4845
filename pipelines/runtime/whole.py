"""A pipeline that declares no interval: what it may not have, since all its data is one whole without a beginning or an end."""

from __future__ import annotations

from pipelines.config import Interval, Pipeline, TimeSplit
from pipelines.errors import ConfigError
from pipelines.io.sources.kinds import make_source

DECLARE = "Declare interval: {from: …, to: …}, or give --from and --to"


def check_whole(config: Pipeline, interval: Interval) -> None:
    """Raise ConfigError when an interval is the whole, and something in the configuration goes by its bounds."""
    if not interval.is_whole:
        return
    for name, section in config.sources.items():
        if make_source(name, section).sliced:
            raise ConfigError(
                f"interval: the configuration has none, but sources.{name} is given an interval's rows alone; expected a "
                f"source that is read as a whole. {DECLARE}."
            )
        if config.contract(name).freshness:
            raise ConfigError(
                f"interval: the configuration has none, but the contract of {name} promises freshness, which is held against "
                f"the interval's end. {DECLARE}, or leave freshness out."
            )
    split = config.features.split
    if isinstance(split, TimeSplit) and split.is_relative:
        raise ConfigError(
            f"interval: the configuration has none, but features.split goes by the window's end (test: {split.test}). "
            f"{DECLARE}, or split by days."
        )
