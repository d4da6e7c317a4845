"""Check a cluster for the ranks of a training: Spark's settings, its slots, and the host of each executor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

from pyspark.sql import SparkSession

from pipelines.config import Pipeline, read_config
from pipelines.errors import ConfigError, ExternalError
from pipelines.launch.check_result import CheckResult
from pipelines.launch.executors import Host, executor_hosts
from pipelines.launch.ranks import check_launch
from pipelines.runtime.command_line import doctor_parser
from pipelines.runtime.notify import set_pipeline
from pipelines.runtime.readiness import check_result, light_checks
from pipelines.runtime.session import spark_session
from pipelines.runtime.terminal import console

NOT_WELL = 5  # the exit code when a check failed


def run(argv: Sequence[str]) -> int:
    """Run the job doctor and return its exit code: 5 when a check failed. It reads and writes no table."""
    arguments = doctor_parser().parse_args(argv)
    config = read_config(arguments.config)
    set_pipeline(config)
    with spark_session(config, "doctor") as spark:
        results = list(cluster_checks(spark, config))
    if arguments.json:
        print(json.dumps([each._asdict() for each in results]), flush=True)
    else:
        for each in results:
            line = f"  {'ok' if each.ok else 'WRONG':6} {each.name:14} {each.saw}{f'. {each.fix}' if each.fix else ''}"
            console().print(line, style=None if each.ok else "red", soft_wrap=True, markup=False)
    return 0 if all(each.ok for each in results) else NOT_WELL


def cluster_checks(spark: SparkSession, config: Pipeline) -> Iterator[CheckResult]:
    """What each check saw: of the settings first, then of the executors, where the settings let ranks start at all."""
    train = config.train
    light = light_checks(train, dict(spark.sparkContext.getConf().getAll()))
    yield from light

    def launch() -> str:
        check_launch(spark, train.ranks, plain=train.allow_plain_transport, encrypted_interface=train.encrypted_interface)
        by = train.encrypted_interface
        return f"{train.ranks} ranks can start at once, and talk {f'by {by}' if by else 'in plain on a cluster that does too'}"

    started = check_result("launch", launch)
    yield started
    if not started.ok or not all(each.ok for each in light if each.name == "executors"):
        yield CheckResult("hosts", False, "not looked at, since no barrier stage can start", "Fix the settings above first.")
        return
    for host in executor_hosts(spark, train.encrypted_interface):
        yield check_result(f"host {host.machine.host}", partial(check_host, host))


def check_host(host: Host) -> str:
    """Raise ExternalError where an executors' host lacks what TensorFlow needs, ConfigError where it lacks the tunnel."""
    if problem := host.machine.problem():
        raise ExternalError(". ".join(problem))
    if host.tunnel_problem:
        raise ConfigError(host.tunnel_problem)
    return f"{host.machine}, {host.slots} slots"
