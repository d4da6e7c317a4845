"""A part of a session's start that Java does while Python still imports what the job needs."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread

# To register Spark's functions for ML vectors, as every session does, Scala sets up its reflection: half a second.
CLASSES = ("org.apache.spark.sql.ml.InternalFunctionRegistration$",)


def load_classes_early() -> None:
    """Have Java load and initialize `CLASSES`, on a thread that nobody waits for, where spark-submit has started Java."""
    port, secret = os.environ.get("PYSPARK_GATEWAY_PORT"), os.environ.get("PYSPARK_GATEWAY_SECRET")
    if port and secret:
        Thread(target=_load_classes, args=(int(port), secret), name="early Java", daemon=True).start()


def _load_classes(port: int, secret: str) -> None:
    from py4j.java_gateway import GatewayParameters, JavaGateway
    from py4j.protocol import Py4JError

    with suppress(Py4JError, OSError):  # the session, which loads them otherwise, says what is wrong
        gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=secret))
        try:
            for name in CLASSES:
                gateway.jvm.java.lang.Class.forName(name)
        finally:
            gateway.close()
