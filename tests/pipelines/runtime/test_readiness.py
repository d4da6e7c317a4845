"""Jobs that train look first at what would end them later; the doctor sees the same, and each executor's host."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from pipelines.config import TrainConfig, read_config
from pipelines.errors import ConfigError, ExternalError
from pipelines.launch import ranks
from pipelines.launch.barrier import slots
from pipelines.launch.executors import Host
from pipelines.launch.ranks import check_launch
from pipelines.machine import Machine
from pipelines.runtime import application, readiness
from pipelines.runtime.readiness import check_readiness, light_checks
from pipelines.steps import doctor
from pipelines.steps.doctor import cluster_checks
from pipelines.steps.train import STEP as TRAIN
from setup import doctor as setup_doctor
from tests.root import ROOT

UNFIT = Machine(host="worker-1", architecture="x86_64", has_avx=False, glibc="2.36", needed_glibc="2.34")


def train(**changes: object) -> TrainConfig:
    """The flights' training, with changes."""
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())["train"]
    return TrainConfig.model_validate({**content, **changes})


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        (
            {},
            {"spark.dynamicAllocation.enabled": "true"},
            r"spark\.dynamicAllocation\.enabled is true in Spark's settings: .*Set",
        ),
        (
            {"launcher": "horovod_spark"},
            {"spark.speculation": "True"},
            r"spark\.speculation is true in Spark's settings: .*Set",
        ),
        ({"ranks": 5}, {"spark.master": "local[2]"}, r"train\.ranks: 5 ranks need 5 slots at once, the cluster has 2\. Set"),
        (
            {"ranks": 3},
            {"spark.master": "spark://head:7077", "spark.executor.cores": "2", "spark.cores.max": "2"},
            r"train\.ranks: 3 ranks need 3 slots at once, the cluster has 2\. Set",
        ),
    ],
)
def test_settings_that_no_training_starts_with_are_refused(
    changes: dict[str, object], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_readiness(train(**changes), settings)


def test_settings_that_say_nothing_of_slots_are_accepted() -> None:
    check_readiness(train(ranks=99), {"spark.master": "yarn"})
    check_readiness(train(launcher="horovod_spark"), {"spark.dynamicAllocation.enabled": "true"})
    check_readiness(train(), {"spark.speculation": "true"})


def test_a_missing_tool_and_an_unfit_processor_are_exit_5(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(readiness, "this_machine", lambda: UNFIT)
    with pytest.raises(ExternalError, match=r"worker-1 has a processor without AVX; .* Use a host whose processor has AVX"):
        check_readiness(train(), {"spark.master": "local[2]"})
    check_readiness(train(), {"spark.master": "spark://head:7077"})  # ranks do not run on the driver's host
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("setpriv") is None
    with pytest.raises(ExternalError, match=r"no setpriv, .*Install util-linux\."):
        check_readiness(train(), {})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ExternalError, match=r"no mpiexec\.hydra and no hydra_pmi_proxy beside .*run `make setup`"):
        check_readiness(train(), {})


def test_a_check_that_failed_keeps_no_other_from_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "this_machine", lambda: UNFIT)
    settings = {"spark.master": "local[1]", "spark.dynamicAllocation.enabled": "true"}
    findings = {each.name: each for each in light_checks(train(), settings)}
    assert {name: each.ok for name, each in findings.items()} == {
        "executors": False,
        "slots": False,
        "process tools": True,
        "processor": False,
    }
    assert findings["slots"].saw == "train.ranks: 2 ranks need 2 slots at once, the cluster has 1"
    assert findings["slots"].fix == (
        "Set train.ranks to that at most, or give the cluster more executors or cores: raise spark.executor.instances, "
        "spark.executor.cores or spark.cores.max, or the number in spark.master."
    )
    assert [each.fix == "" for each in findings.values()] == [each.ok for each in findings.values()]


def test_a_job_that_trains_is_refused_before_spark_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application, "spark_session", lambda *_: pytest.fail("Spark starts"))
    monkeypatch.setattr(readiness, "allocation_problem", lambda *_: ("dynamic allocation is on", "Set it to false."))
    code = application.run_application("train", [TRAIN], ["--config", str(ROOT / "conf" / "flights.yaml")])
    assert code == 2
    assert "ringmill: train failed: dynamic allocation is on. Set it to false." in capsys.readouterr().err


def test_the_doctor_checks_the_host_of_each_executor(spark: SparkSession) -> None:
    findings = {each.name: each for each in cluster_checks(spark, read_config(ROOT / "conf" / "flights.yaml"))}
    assert [name for name, each in findings.items() if not each.ok] == []
    host = findings[f"host {socket.gethostname()}"]
    assert host.saw.startswith(f"{socket.gethostname()}: AVX, glibc ")
    assert host.saw.endswith(f", {slots(spark)} slots")


def test_an_executor_without_what_ranks_need_is_named(spark: SparkSession, write: Callable[[str, str], str]) -> None:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content["train"]["encrypted_interface"] = "wg-none"
    config = read_config(Path(write("c.yaml", yaml.safe_dump(content))))
    findings = {each.name: each for each in cluster_checks(spark, config)}
    assert not findings["launch"].ok and "has no network interface wg-none; expected a tunnel" in findings["launch"].saw
    assert (findings["hosts"].ok, findings["hosts"].fix) == (False, "Fix the settings above first.")
    with pytest.raises(ExternalError, match="worker-1 has a processor without AVX"):
        doctor.check_host(Host(UNFIT, 2))
    with pytest.raises(ConfigError, match="no tunnel"):
        doctor.check_host(Host(UNFIT._replace(has_avx=True), 2, "train.encrypted_interface: eth0 is no tunnel"))


def test_a_cluster_that_encrypts_is_content_with_a_tunnel(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = spark.sparkContext.getConf().set("spark.network.crypto.enabled", "true")
    monkeypatch.setattr(spark.sparkContext, "getConf", lambda: conf)
    with pytest.raises(ConfigError, match=r"train\.allow_plain_transport: .*or train\.encrypted_interface, the interface"):
        check_launch(spark, 1, plain=False)
    with pytest.raises(ConfigError, match=r"train\.encrypted_interface: lo of .* is no tunnel"):
        check_launch(spark, 1, plain=False, encrypted_interface="lo")
    checked: list[str] = []
    monkeypatch.setattr(ranks, "check_tunnel", checked.append)
    check_launch(spark, 1, plain=False, encrypted_interface="wg0")
    assert checked == ["wg0"]


@pytest.mark.parametrize(
    ("name", "is_name"), [("wg0", True), ("ipsec0.7", True), ("wg0; rm", False), ("", False), ("w" * 16, False)]
)
def test_an_interface_is_named_as_the_kernel_names_them(name: str, is_name: bool) -> None:
    if is_name:
        assert train(encrypted_interface=name).encrypted_interface == name
        return
    with pytest.raises(ValueError, match="encrypted_interface"):
        train(encrypted_interface=name)


def test_only_the_launcher_that_binds_takes_a_tunnel() -> None:
    with pytest.raises(ValueError, match="encrypted_interface wg0 can't be kept to by launcher horovod_spark"):
        train(encrypted_interface="wg0", launcher="horovod_spark")


def test_the_doctor_prints_one_json_array(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spark: SparkSession
) -> None:
    class Session:
        def __enter__(self) -> SparkSession:
            return spark

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(doctor, "spark_session", lambda *_: Session())
    assert doctor.run(["--config", str(ROOT / "conf" / "flights.yaml"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [set(each) for each in printed] == [{"name", "ok", "saw", "fix"}] * len(printed)
    assert [each["name"] for each in printed][:5] == ["executors", "slots", "process tools", "processor", "launch"]


def test_the_page_on_operations_names_each_check_of_the_doctor() -> None:
    section = (
        (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n### Doctor\n")[2].partition("\n### ")[0]
    )
    named = {
        name for row in section.splitlines() if row.startswith("| `") for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    own = {each.name for each in setup_doctor.check_results("conf/none.yaml", light=True)} | {"Horovod"}
    assert named == own | {*readiness.CHECKS, "launch", "host <name>"}
