"""The Iceberg catalog `lake`: its Spark settings, from the configuration, and whether its warehouse can be used."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from urllib.parse import urlparse

from pipelines.config import LakeConfig
from pipelines.errors import ExternalError
from pipelines.io.filesystem import warehouse_uri
from pipelines.io.lake import CATALOG
from pipelines.io.variables import expanded

REDACTION = "spark.redaction.regex"
SENSITIVE = "(?i)secret|password|token|access[.-]?key|credential|authorization"  # Spark's own rule, and Iceberg's names


def catalog_settings(lake: LakeConfig) -> dict[str, str]:
    """Spark's settings for the catalog: the configuration's own, or a JDBC catalog on SQLite under the warehouse.

    `${NAME}` in a property of the configuration's stands for an environment variable. SQLite waits 30 seconds for another
    writer, and lets readers read while one writes (WAL).
    """
    warehouse = warehouse_uri(lake)
    embedded = {
        "type": "jdbc",
        "uri": f"jdbc:sqlite:{warehouse}/catalog.db?journal_mode=WAL&busy_timeout=30000",
        "jdbc.schema-version": "V1",
    }
    configured = {name: expanded(value, f"lake.catalog.{name}") for name, value in lake.catalog.items()}
    properties = {"warehouse": warehouse, **(configured or embedded)}
    prefix = f"spark.sql.catalog.{CATALOG}"
    return {prefix: "org.apache.iceberg.spark.SparkCatalog"} | {f"{prefix}.{k}": v for k, v in properties.items()}


def redaction_settings(lake: LakeConfig, rule: str | None) -> dict[str, str]:
    """The setting by which Spark hides values in event logs, in its UI and in its own log.

    It hides what `rule` (the user's own, if any) or a telling name says, and each catalog property that comes from the
    environment, whatever its name.
    """
    from_environment = [name for name, value in lake.catalog.items() if "${" in value]
    names = "|".join(re.escape(f"spark.sql.catalog.{CATALOG}.{name}") for name in from_environment)
    return {REDACTION: "|".join([rule or SENSITIVE, *([f"^(?:{names})$"] if names else [])])}


def check_warehouse(lake: LakeConfig) -> None:
    """Make a local warehouse's folder, and raise ExternalError when it can't be written to."""
    warehouse = warehouse_uri(lake)
    if urlparse(warehouse).scheme:
        return  # a remote store answers for itself at the first commit
    probe = Path(warehouse) / f".probe-{uuid.uuid4().hex}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ExternalError(
            f"lake.warehouse: {warehouse} can't be written to ({error.strerror}). Give a folder that can, or fix its rights."
        ) from error
