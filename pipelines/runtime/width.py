"""What Spark's planner leaves out where contracts are wide."""

from __future__ import annotations

from pyspark.sql import SparkSession

from pipelines.config import Pipeline, load_examples

CONSTRAINTS = "spark.sql.constraintPropagation.enabled"
WIDE = 200  # columns, from which on the planner takes longer to compare all of them than everything else takes


def widest(config: Pipeline) -> int:
    """How many columns the widest contract has, of the sources' and the examples'."""
    contracts = [*(config.contract(name) for name in config.sources), load_examples(config.contracts)]
    return max(len(contract.columns) for contract in contracts)


def plan_for(spark: SparkSession, columns: int) -> None:
    """Have Spark plan frames of so many columns in time that grows in proportion to them.

    Spark infers what is true of a column from what is true of others, and for it compares each expression of a frame with all
    others. What it would infer are filters alone, such as keys of a join that are not null: results are the same without them.
    """
    if columns >= WIDE:
        spark.conf.set(CONSTRAINTS, "false")
