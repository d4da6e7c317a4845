"""Spark's event log and its metrics for Prometheus: the settings behind the section `spark`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyspark import SparkConf, SparkContext

from pipelines.config import Pipeline
from pipelines.errors import ConfigError
from pipelines.runtime.log_handler import TO_STDERR

LOG = logging.getLogger(__name__)

ENABLED, FOLDER = "spark.eventLog.enabled", "spark.eventLog.dir"
SPARKS_FOLDER = "file:///tmp/spark-events"  # Spark's own default
ADDRESS = "SPARK_LOCAL_IP"  # the variable from which Spark's UI has the address that it listens on
SERVLET = "spark.metrics.conf.*.sink.prometheusServlet"


def monitoring_settings(config: Pipeline, given: SparkConf) -> dict[str, str]:
    """Spark's settings for the event log and the Prometheus endpoint, and the folder of the event log, which is created where
    it is one of this machine.

    `given` are the settings that Spark has already, by which the log may be written too. Raises ConfigError when the folder
    can't be written to.
    """
    settings = {**event_log_settings(config.spark.event_log), **prometheus_settings(config)}
    effective = {ENABLED: given.get(ENABLED, "false"), FOLDER: given.get(FOLDER, SPARKS_FOLDER), **settings}
    if str(effective[ENABLED]).strip().lower() == "true":
        key = "spark.event_log" if config.spark.event_log else FOLDER
        _create_folder(str(effective[FOLDER]), key)
    return settings


def event_log_settings(folder: str | None) -> dict[str, str]:
    """Spark's settings for an event log in a folder; none without one."""
    if folder is None:
        return {}
    uri = folder if urlsplit(folder).scheme else Path(folder).absolute().as_uri()
    return {ENABLED: "true", FOLDER: uri}


def prometheus_settings(config: Pipeline) -> dict[str, str]:
    """Spark's settings for a UI that serves metrics for Prometheus, under names that stay the same from run to run."""
    port = config.spark.prometheus_port
    if port is None:
        return {}
    return {
        "spark.ui.enabled": "true",
        "spark.ui.port": str(port),
        "spark.ui.killEnabled": "false",  # whoever reaches the port may look, and stop nothing
        "spark.ui.prometheus.enabled": "true",
        "spark.metrics.namespace": f"ringmill_{config.pipeline}",  # by default the application's id, another one each run
        f"{SERVLET}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        f"{SERVLET}.path": "/metrics/prometheus",
    }


def warn_of_open_port(config: Pipeline, context: SparkContext) -> None:
    """Warn where the metrics are served on all of the machine's addresses."""
    if config.spark.prometheus_port and not context._jvm.System.getenv(ADDRESS):  # type: ignore[union-attr]
        LOG.warning(
            f"spark.prometheus_port: Spark's UI listens on all addresses of this machine, since the environment variable "
            f"{ADDRESS} is not set. Set it to 127.0.0.1, or to the address from which Prometheus reads.",
            extra=TO_STDERR,
        )


def _create_folder(uri: str, key: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return  # Spark reports what is wrong with a store
    folder = Path(unquote(parts.path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        if os.access(folder, os.W_OK | os.X_OK):
            return
        reason = "Permission denied"
    raise ConfigError(
        f"{key}: the folder {folder} for Spark's event log can't be written to ({reason}). Give a folder that can, or fix its "
        f"rights."
    )
