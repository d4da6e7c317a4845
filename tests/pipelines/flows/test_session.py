"""What a session is told depends on where its tasks run."""

from __future__ import annotations

import pytest
from pyspark import SparkConf

from pipelines.flows.session import COMPILES_ALL, compiles_long_methods


@pytest.mark.parametrize(
    ("master", "option", "found"),
    [
        ("local-cluster[2,1,2048]", "spark.executor.extraJavaOptions", True),
        ("spark://host:7077", "spark.executor.defaultJavaOptions", True),
        ("yarn", "spark.driver.extraJavaOptions", False),
        ("local[2]", "spark.driver.extraJavaOptions", True),
        ("local", "spark.driver.extraJavaOptions", True),
        ("local[*]", "spark.executor.extraJavaOptions", False),
    ],
)
def test_long_methods_are_compiled_where_the_flag_is_set(master: str, option: str, found: bool) -> None:
    conf = SparkConf(loadDefaults=False).set("spark.master", master).set(option, f"-XX:+UseParallelGC {COMPILES_ALL}")
    assert compiles_long_methods(conf) == found
    assert not compiles_long_methods(conf.set(option, "-XX:+UseParallelGC"))
