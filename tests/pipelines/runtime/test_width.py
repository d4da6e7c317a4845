"""Of wide contracts Spark plans in time that grows with their columns, and narrow ones are planned as before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.runtime.width import CONSTRAINTS, plan_for, widest
from tests.sample import pipeline


class _Conf(dict[str, str]):
    """Settings of a session."""

    def set(self, key: str, value: str) -> None:
        self[key] = value


@pytest.mark.parametrize(("columns", "settings"), [(199, {}), (200, {CONSTRAINTS: "false"}), (2000, {CONSTRAINTS: "false"})])
def test_constraints_are_left_out_of_wide_plans_alone(columns: int, settings: dict[str, str]) -> None:
    spark: Any = SimpleNamespace(conf=_Conf())
    plan_for(spark, columns)
    assert spark.conf == settings


def test_the_widest_contract_counts(tmp_path: Path) -> None:
    assert widest(pipeline(tmp_path, "p")) == 45  # the flights' EXAMPLES; flights have 19 columns
