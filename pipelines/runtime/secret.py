"""Secrets, by the name of the environment variable that holds them."""

from __future__ import annotations

import os

from pyspark.sql import DataFrame

from pipelines.cleaning.privacy import hash_key
from pipelines.config import Pipeline
from pipelines.errors import ConfigError
from pipelines.runtime.context import Context
from schemas.contract import Table


def check_hash_key(config: Pipeline, contract: Table) -> None:
    """Raise ConfigError when a contract has personal columns to hash and no key is at hand."""
    personal = [column.name for column in contract.columns if column.personal == "hash"]
    if not personal:
        return
    if config.clean.hash_key is None:
        raise ConfigError(
            f"contract {contract.name}: {', '.join(personal)} is personal and to be hashed, but clean.hash_key is not set. "
            f"Give it the name of the environment variable that holds the key."
        )
    if not os.environ.get(config.clean.hash_key):
        raise ConfigError(
            f"clean.hash_key: the environment variable {config.clean.hash_key} is not set; it holds the key that hashes "
            f"{', '.join(personal)} of {contract.name}. Set it, to the same value each time."
        )


def hash_key_of(context: Context, contract: Table) -> DataFrame | None:
    """The key that hashes a contract's personal values, as a frame; None when it has none."""
    check_hash_key(context.config, contract)
    if not any(column.personal == "hash" for column in contract.columns):
        return None
    return hash_key(context.spark, os.environ[str(context.config.clean.hash_key)].encode())
