"""What a session is told depends on where its tasks run."""

from __future__ import annotations

import pytest
from pyspark import SparkConf

from pipelines.flows.session import COMPILES_ALL, EXECUTOR_OPTIONS, compiles_long_methods, executor_folder


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


def test_executors_of_an_embedded_cluster_share_the_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/a b")
    conf = SparkConf(loadDefaults=False).set("spark.master", "local-cluster[1,2,1024]").set(EXECUTOR_OPTIONS, "-Dx=1")
    assert executor_folder(conf) == {EXECUTOR_OPTIONS: '-Dx=1 "-Djava.io.tmpdir=/a b"'}
    for master in ("local[2]", "spark://host:7077", "yarn"):  # another machine may have no such folder
        assert executor_folder(conf.set("spark.master", master)) == {}
