"""What the hosts of a cluster's executors have, seen by a task on each slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyspark.sql import SparkSession

from pipelines.errors import ConfigError
from pipelines.launch.barrier import slots
from pipelines.machine import Machine, this_machine
from pipelines.tunnel import check_tunnel
from pipelines.workers import forget_archives


class Host(NamedTuple):
    """A host of executors: the machine, slots on it, and what is wrong with the tunnel by which ranks talk, if anything."""

    machine: Machine
    slots: int
    tunnel_problem: str = ""


def executor_hosts(spark: SparkSession, encrypted_interface: str | None) -> list[Host]:
    """The hosts that have a slot now, by name. A barrier stage of all slots reaches each; raises what Spark raises."""
    count = slots(spark)
    stage = spark.sparkContext.parallelize(range(count), count).barrier()
    tasks = stage.mapPartitions(lambda _: _examine(encrypted_interface)).collect()
    hosts: dict[str, Host] = {}
    for machine, problem in tasks:
        known = hosts.get(machine.host)
        hosts[machine.host] = Host(machine, known.slots + 1 if known else 1, problem)
    return [hosts[name] for name in sorted(hosts)]


def _examine(encrypted_interface: str | None) -> Iterator[tuple[Machine, str]]:
    forget_archives()
    problem = ""
    if encrypted_interface:
        try:
            check_tunnel(encrypted_interface)
        except ConfigError as error:
            problem = str(error)
    yield this_machine(), problem
