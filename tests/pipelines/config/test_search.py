"""The section `search`: what may be tried is known before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipelines.config import Pipeline, SearchConfig, TrainConfig, read_config, replaced
from pipelines.errors import ConfigError
from tests.sample import configured


def space(**values: Any) -> dict[str, Any]:
    """A section with a space."""
    return {"space": {path.replace("__", "."): value for path, value in values.items()}}


def test_values_replace_those_at_their_paths() -> None:
    config = replaced(TrainConfig(), {"optimizer.learning_rate": 0.5, "network.hidden": [3], "batch_size": 8})
    assert (config.optimizer.learning_rate, config.network.hidden, config.batch_size) == (0.5, (3,), 8)
    assert config.optimizer.name == "Adam"
    assert replaced(TrainConfig(), {"optimizer.options.momentum": 0.9}).optimizer.options == {"momentum": 0.9}
    assert replaced(TrainConfig(), {"loss": {"name": "focal", "gamma": 1}}).loss is not None


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            space(optimizer__rate={"choices": [1]}),
            r"train has no value optimizer\.rate; expected .*optimizer\.learning_rate",
        ),
        (space(ranks={"choices": [1, 2]}), "ranks is how training runs, not what is trained"),
        (space(stall_timeout_seconds={"low": 1, "high": 9}), "stall_timeout_seconds is how training runs"),
        (space(batch_size={"choices": [0]}), r"train\.batch_size: .*greater than or equal to 1; received 0"),
        (space(network__dropout={"low": 0.0, "high": 2.0}), r"train\.network\.dropout: .*less than 1; received 2"),
        (space(batch_size={"low": 9, "high": 9}), r"low \(9\) must be below high"),
        (space(batch_size={"low": 0, "high": 9, "log": True}), "log needs a low above 0"),
        ({**space(network__dropout={"low": 0, "high": 0.5}), "sampler": "grid"}, r"a grid over network\.dropout has no end"),
        ({**space(batch_size={"choices": [8]}), "sampler": "best"}, "'tpe', 'random' or 'grid'"),
        (space(batch_size={"low": 64, "high": 128, "step": 0.5}), r"step 0\.5 of whole numbers"),
        (space(batch_size={"low": 64.0, "high": 128.0}), r"train\.batch_size: .*valid integer"),
        (space(loss={"choices": [{"name": "focal"}]}), "validation losses of different losses can't be compared"),
        ({"space": {}}, "at least 1"),
    ],
)
def test_what_can_not_be_tried_is_exit_2_and_names_the_choices(tmp_path: Path, search: dict[str, Any], message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(configured(tmp_path, "wrong", lambda content: content.update(search=search))))
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert caught.value.exit_code == 2


def test_a_loss_has_to_be_one_of_the_task(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["train"]["monitor"] = "validation_auc"
        content.update(search=space(loss={"choices": [{"name": "huber"}]}))

    with pytest.raises(ValidationError, match="huber is no loss of a binary task"):
        Pipeline.model_validate(configured(tmp_path, "wrong", edit))


def test_a_grid_has_the_points_of_its_steps() -> None:
    section = SearchConfig.model_validate({**space(a={"low": 0.1, "high": 0.4, "step": 0.1}, b={"choices": [[1], [2, 3]]})})
    assert [len(values.grid) for values in section.space.values()] == [4, 2]
    assert section.space["a"].grid == pytest.approx((0.1, 0.2, 0.3, 0.4))
