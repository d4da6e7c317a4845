"""Folds of row ids: those of Spark's own hash."""

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.features.folds import FOLD_SEED, folds_of


def test_folds_are_those_of_sparks_hash(spark: SparkSession) -> None:
    ids = [0, 1, -1, 2**63 - 1, -(2**63), *np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 200).tolist()]
    rows = spark.createDataFrame([(number,) for number in ids], "row_id long")
    for folds in (2, 5, 97):
        expected = rows.select("row_id", F.pmod(F.xxhash64(F.lit(FOLD_SEED), "row_id"), F.lit(folds)).alias("fold")).collect()
        assigned = folds_of(np.array([row.row_id for row in expected], np.int64), folds)
        assert assigned.tolist() == [row.fold for row in expected]
