"""Signals of a run whose work is Java's: Java hands them on to the driver, whose jobs are then cancelled without a word."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

from py4j.clientserver import JavaClient
from pyspark import SparkContext
from pyspark.java_gateway import ensure_callback_server_started

from pipelines.interruption import PROCESS, SIGNALS

SECONDS_BETWEEN_CANCELS = 0.2


class Forward:
    """Java's handler of one signal: sends it to this process. Java itself would end, and with it all tables."""

    def __init__(self, number: int) -> None:
        self._number = number

    def handle(self, _signal: Any) -> None:
        """Note a signal; Java calls it on a thread of its own."""
        os.kill(os.getpid(), self._number)

    class Java:
        """The interface, as py4j wants it."""

        implements = ("sun.misc.SignalHandler",)


@cache
def take_over_signals() -> None:
    """Have this process alone decide about SIGINT and SIGTERM: start the gateway to Java, unless it runs, and take its signals.

    spark-submit starts Java, which starts the driver: a terminal's Ctrl-C reaches both at once, and a scheduler's SIGTERM often
    Java alone.
    """
    SparkContext._ensure_initialized()
    gateway: Any = SparkContext._gateway
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    misc = gateway.jvm.sun.misc
    for number in SIGNALS:
        with suppress(Exception):  # Java may be without a say (-Xrs); the driver has its own
            misc.Signal.handle(misc.Signal(number.name.removeprefix("SIG")), Forward(number))
    PROCESS.listen(Stopper(gateway).stop)


class Stopper:
    """Once a run is interrupted, silences Java's logs and cancels Spark's jobs until the process ends."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway
        self._wanted = threading.Event()
        # Begun now: a handler that starts a thread may meet the lock that the thread which it interrupted holds.
        threading.Thread(target=self._run, name="stopper", daemon=True).start()

    def stop(self) -> None:
        """Begin; called in the main thread, which a signal has stopped anywhere."""
        logging.disable()
        threading.excepthook = lambda _: None
        client = self._gateway._gateway_client
        if isinstance(client, JavaClient):
            # The answer to what this thread asked last is still to come, and would be taken for that to its next question.
            client.thread_connection.connection = None
        self._wanted.set()

    def _run(self) -> None:
        self._wanted.wait()
        silence(self._gateway)
        while True:
            with suppress(Exception):
                if context := SparkContext._active_spark_context:
                    context.cancelAllJobs()
            time.sleep(SECONDS_BETWEEN_CANCELS)


def silence(gateway: Any = None) -> None:
    """Have Java say nothing more: what it makes of cancelled jobs, closed connections and signals that come late is no news."""
    gateway = gateway or SparkContext._gateway
    if gateway is None:
        return
    with suppress(Exception):  # Java is gone
        jvm = gateway.jvm
        jvm.java.lang.System.setErr(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))
        jvm.java.util.logging.LogManager.getLogManager().reset()
        levels = jvm.org.apache.logging.log4j
        levels.core.config.Configurator.setAllLevels("", levels.Level.OFF)
