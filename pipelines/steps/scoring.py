"""Rows scored by a bundle on Spark: examples from raw values, rows of the features table from its columns."""

from __future__ import annotations

from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import ConfigError
from pipelines.expressions import cols
from pipelines.io.tables import struct
from pipelines.runtime.context import Context
from pipelines.serving.batches import SCORES, score_batches
from pipelines.serving.bundle import Bundle
from pipelines.serving.raw_batches import RAW_SCORES, ScoringModel, score_raw_batches
from schemas import tables
from schemas.contract import Column as ContractColumn
from schemas.contract import Table

SCORE_COLUMNS = tuple(next(column for column in tables.SCORED if column.name == name) for name in RAW_SCORES)


def score_examples(
    context: Context, rows: DataFrame, bundle: Bundle, passed: tuple[ContractColumn, ...], threshold: float | None = None
) -> DataFrame:
    """The `passed` columns of the examples that become features, beside their scores. Raises what `check_inputs` raises.

    `threshold` decides a binary model's predicted class; without one there is none.
    """
    check_inputs(context, rows, bundle)
    names = tuple(column.name for column in passed)
    model = ScoringModel(bundle.uri, bundle.digest, threshold)
    given = rows.select(*cols(dict.fromkeys((*names, *bundle.spec.inputs))))
    return given.mapInArrow(
        partial(score_raw_batches, model=model, passed=names), struct(Table("scored", (*passed, *SCORE_COLUMNS)))
    )


def check_inputs(context: Context, rows: DataFrame, bundle: Bundle) -> None:
    """Raise ConfigError when a model takes what examples do not have."""
    if missing := sorted(set(bundle.spec.inputs) - set(rows.columns)):
        raise ConfigError(
            f"model {bundle.uri}: it takes {', '.join(missing)}, which {context.config.contracts} EXAMPLES no longer has; "
            f"expected all of its inputs. Derive them again, or use a model that was trained on what there is."
        )


def score_features(context: Context, rows: DataFrame, model: str) -> DataFrame:
    """Rows of the features table as `predictions` has them, by the bundle at a URI that was trained on such features."""
    label = "label" if context.config.horizon is None else "labels"
    passed = ("row_id", "split", label)
    contract = Table("scored", tuple(tables.PREDICTIONS.column(name) for name in (*passed, *SCORES)))
    named = rows.withColumnRenamed("label", label)
    scored = named.mapInArrow(partial(score_batches, uri=model, passed=passed), struct(contract))
    missing = [column for column in tables.PREDICTIONS.columns if column.name in ("label", "labels") and column.name != label]
    return scored.withColumns({column.name: F.lit(None).cast(column.type) for column in missing})
