"""What a session is told depends on where its tasks run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyspark import SparkConf

from pipelines.flows.session import COMPILES_ALL, compiles_long_methods, know_members


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


class _Java:
    """Stands in for what py4j asks of Java: notes each look-up."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def __getattr__(self, name: str) -> _Java:
        self._asked.append(name)
        return _Java(self._asked)


def test_java_is_asked_once_where_a_function_is() -> None:
    asked: list[str] = []
    spark = SimpleNamespace(_jvm=_Java(asked))
    know_members(spark)  # type: ignore[arg-type]
    asked.clear()
    for _ in range(3):
        _ = spark._jvm.functions.lit, spark._jvm.functions.col, spark._jvm.PythonUtils.toSeq
    assert asked == ["lit", "col", "toSeq"]
