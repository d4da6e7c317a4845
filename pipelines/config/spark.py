"""The section `spark`: what is kept of an application's course, and how it is watched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.model import Model


class SparkConfig(Model):
    """Spark's event log and its metrics for Prometheus. All other settings are Spark's own: conf/spark, and spark-submit's
    `--conf`, which these two keys go before.
    """

    event_log: Annotated[str, Field(min_length=1)] | None = None
    """Folder or URI to which each application's event log is written, for Spark's history server. A folder of this machine is
    created. A relative path counts from the folder in which a job is started. Without it Spark's own settings decide.
    """
    prometheus_port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Port of Spark's UI, which serves metrics for Prometheus. The next free one is taken where another job has it. It listens
    on `SPARK_LOCAL_IP`, which conf/spark sets to 127.0.0.1. Without it Spark's own settings decide.
    """
