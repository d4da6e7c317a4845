"""A rank as `pipelines.training.rank` is, but that exports nothing: where a test looks at the training alone, the export of its
model would take longer than all else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pipelines.interruption import end_process
from pipelines.lean import import_keras, uncollected
from pipelines.training import rank

MODULE = "tests.pipelines.training.rank_without_export"


class _Nothing(NamedTuple):
    rows: int = 0
    difference: float = 0.0


class _NoOnnx(NamedTuple):
    missing: str = "nothing is exported here"


def import_without_export() -> None:
    """Import Keras and a run's modules, and leave the export out of them."""
    import_keras()
    with uncollected():
        from pipelines.training import run

    def export(*_: Any) -> Any:
        return _Nothing(), _NoOnnx()

    vars(run)["export"] = export


if __name__ == "__main__":
    vars(rank)["import_keras"] = import_without_export
    end_process(rank.main())
