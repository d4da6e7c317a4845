"""A client for a store that Spark lacks is one line with the jar to add; here Java itself reports that it is missing."""

from __future__ import annotations

from pathlib import Path

import pyspark
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from pipelines.config import LakeConfig
from pipelines.errors import ConfigError, DataError
from pipelines.io.missing_clients import AWS_BUNDLE, HADOOP_AWS, missing_client, missing_client_of_job
from pipelines.io.sources.file_names import list_files
from tests.root import ROOT

KEY = "sources.flights.path"
# What Iceberg reports without the bundle.
NO_BUNDLE = (
    "Cannot initialize FileIO implementation org.apache.iceberg.aws.s3.S3FileIO: Cannot find constructor for interface "
    "org.apache.iceberg.io.FileIO\n\tMissing org.apache.iceberg.aws.s3.S3FileIO [java.lang.NoClassDefFoundError: "
    "software/amazon/awssdk/services/s3/model/S3Exception]"
)


def listing(spark: SparkSession, path: str) -> Py4JJavaError:
    """The error of a store that can't be listed."""
    with pytest.raises(Py4JJavaError) as caught:
        list_files(spark, path)
    return caught.value


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("s3a://lake/in/*.csv", f"s3a://. Add {HADOOP_AWS} to spark.jars.packages;"),
        ("s3://lake/in/a.csv", f"s3://. Write s3a://, and add {HADOOP_AWS} to spark.jars.packages;"),
        ("gs://lake/a.csv", "gs://. Add the jar of Hadoop's client for it to spark.jars.packages;"),
    ],
)
def test_the_jar_for_a_store_is_named(spark: SparkSession, path: str, what: str) -> None:
    failure = missing_client(listing(spark, path), KEY)
    assert isinstance(failure, ConfigError)
    assert str(failure) == f"{KEY}: Spark has no client for {what} docs/operations.md, Storage and catalog, says how."


def test_a_warehouse_may_also_use_icebergs_own_client(spark: SparkSession) -> None:
    error = listing(spark, "s3://lake/tables")
    of_lake = missing_client_of_job(error, LakeConfig(warehouse="s3://lake/tables"))
    assert str(of_lake).startswith("lake.warehouse: Spark has no client for s3://. Write s3a://, and add ")
    assert "or set lake.catalog.io-impl to org.apache.iceberg.aws.s3.S3FileIO; docs" in str(of_lake)
    own_client = {"type": "rest", "io-impl": "org.apache.iceberg.aws.s3.S3FileIO"}
    assert "io-impl" not in str(missing_client_of_job(error, LakeConfig(warehouse="s3://lake/tables", catalog=own_client)))
    of_another = missing_client_of_job(error, LakeConfig(warehouse="/srv/tables"))
    assert str(of_another).startswith("an address in the configuration or in Spark's settings: Spark has no client for s3://.")
    assert "io-impl" not in str(of_another)


def test_icebergs_client_without_its_sdk_names_the_bundle() -> None:
    failure = missing_client_of_job(RuntimeError(NO_BUNDLE), LakeConfig(warehouse="s3://lake/tables"))
    assert str(failure).startswith("lake.catalog.io-impl: Iceberg's S3FileIO lacks Amazon's SDK. Give the path of the jar of ")
    assert AWS_BUNDLE in str(failure)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), DataError('No FileSystem for scheme "s3"'), KeyError("s3")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    assert missing_client(error, KEY) is None
    assert missing_client_of_job(error, LakeConfig(warehouse="s3://lake/tables")) is None


def test_the_jars_are_of_the_versions_that_spark_and_iceberg_have() -> None:
    hadoop, iceberg = (coordinates.rpartition(":")[2] for coordinates in (HADOOP_AWS, AWS_BUNDLE))
    assert (Path(pyspark.__file__).parent / "jars" / f"hadoop-client-api-{hadoop}.jar").exists()
    assert f":{iceberg}\n" in (ROOT / "setup" / "jars.txt").read_text()
