"""A Java function is looked up once."""

from __future__ import annotations

import pytest
from py4j.clientserver import JavaClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.runtime.java_lookups import remember_lookups


def test_a_function_that_was_called_before_is_not_looked_up_again(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    remember_lookups()
    F.acosh(F.lit(1))
    assert spark._jvm is not None
    spark._jvm.java.util.Collections.emptyList()
    sent: list[str] = []
    send = JavaClient.send_command

    def recording(client: JavaClient, command: str, *arguments: object, **named: object) -> object:
        sent.append(command)
        return send(client, command, *arguments, **named)

    monkeypatch.setattr(JavaClient, "send_command", recording)
    column = F.lit(2)
    assert spark._jvm.java.util.Collections.emptyList().size() == 0
    look_ups = [command for command in sent if command.startswith("r\n")]
    assert look_ups == []
    assert spark.range(1).select(column.alias("two")).collect()[0].two == 2
