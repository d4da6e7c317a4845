"""Failures whose cause is that Spark has no client for a store: which jar brings one, and where to add it."""

from __future__ import annotations

import re
from urllib.parse import urlparse

from pipelines.config import LakeConfig
from pipelines.errors import ConfigError, RingmillError, causes_of

HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.4.2"  # of the version of Spark's own Hadoop
AWS_BUNDLE = "org.apache.iceberg:iceberg-aws-bundle:1.12.0"  # of Iceberg's version in setup/jars.txt
S3_FILE_IO = "org.apache.iceberg.aws.s3.S3FileIO"
WHERE = "docs/operations.md, Storage and catalog, says how"
# What Hadoop reports of a scheme that it does not know, and of one whose class no jar has.
NO_CLIENT = re.compile(r'No FileSystem for scheme "?(\w+)|Class org\.apache\.hadoop\.fs\.(\w+)\.\w+ not found')
NO_SDK = re.compile(r"NoClassDefFoundError: software/amazon/awssdk/")


def missing_client(error: BaseException, key: str) -> ConfigError | None:
    """The error to raise in the place of one whose cause is a client that Spark lacks; None for any other.

    `key` is what names the address, such as `sources.flights.path`.
    """
    store = _store_without_client(error)
    return _failure(store, key, of_tables=False) if store else None


def missing_client_of_job(error: BaseException, lake: LakeConfig) -> ConfigError | None:
    """The same of an error that may be about the warehouse or about another address of the job."""
    store = _store_without_client(error)
    if store is None:
        return None
    of_tables = store == urlparse(lake.warehouse).scheme
    key = "lake.warehouse" if of_tables else "an address in the configuration or in Spark's settings"
    return _failure(store, key, of_tables=of_tables and "io-impl" not in lake.catalog)


def _store_without_client(error: BaseException) -> str | None:
    """The scheme for which Spark has no client, or `S3_FILE_IO` where that lacks its SDK."""
    if isinstance(error, RingmillError):
        return None
    for text in map(str, causes_of(error)):
        if NO_SDK.search(text):
            return S3_FILE_IO
        if matched := NO_CLIENT.search(text):
            return matched[1] or matched[2]
    return None


def _failure(store: str, key: str, *, of_tables: bool) -> ConfigError:
    if store == S3_FILE_IO:
        return ConfigError(
            f"lake.catalog.io-impl: Iceberg's S3FileIO lacks Amazon's SDK. Give the path of the jar of {AWS_BUNDLE} by "
            f"spark.driver.extraClassPath, and on a cluster by spark.executor.extraClassPath; {WHERE}."
        )
    return ConfigError(f"{key}: Spark has no client for {store}://. {_remedy(store, of_tables=of_tables)}; {WHERE}.")


def _remedy(scheme: str, *, of_tables: bool) -> str:
    if scheme not in ("s3", "s3n", "s3a"):
        return "Add the jar of Hadoop's client for it to spark.jars.packages"
    add = "Add" if scheme == "s3a" else "Write s3a://, and add"
    added = f"{add} {HADOOP_AWS} to spark.jars.packages"
    return f"{added}, or set lake.catalog.io-impl to {S3_FILE_IO}" if of_tables else added
