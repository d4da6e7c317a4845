"""The doctor prints what is wrong, and how to fix it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from setup import doctor as checks
from setup.machine_checks import ProblemError
from tests.root import ROOT


def doctor(config: str = "conf/flights.yaml", *, whole: bool = False, **environment: str) -> tuple[int, dict[str, str]]:
    """Run the doctor, whole or in its light form; its exit code and its lines by check."""
    command = [sys.executable, "setup/doctor.py", "--config", config, *([] if whole else ["--light"])]
    completed = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}
    )
    lines = [line.strip() for line in completed.stdout.splitlines()]
    assert completed.returncode in (0, 5), completed.stderr
    names = ["Java", "C++ compiler", "process tools", "processor", "jars", "ports", "disk", "slots", "executors"]
    names += ["Horovod"] if whole else []
    return completed.returncode, {name: next(line for line in lines if name in line[:22]) for name in names}


def test_a_ready_machine_is_well() -> None:
    code, lines = doctor(whole=True)
    assert {name: line for name, line in lines.items() if not line.startswith("ok")} == {}
    assert code == 0
    assert "MPI True" in lines["Horovod"]


def test_a_missing_java_is_named_with_its_cure(tmp_path: Path) -> None:
    code, lines = doctor(JAVA_HOME=str(tmp_path))
    assert code == 5
    assert lines["Java"].startswith("WRONG")
    assert "Install openjdk-17-jre-headless, or set JAVA_HOME." in lines["Java"]
    assert lines["C++ compiler"].startswith("ok")


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    _, lines = doctor(PATH=str(tmp_path), JAVA_HOME=str(tmp_path))
    assert "no g++ found" in lines["C++ compiler"]


def test_more_ranks_than_slots_is_reported_before_a_run(write: Callable[[str, str], str]) -> None:
    content = yaml.safe_load((ROOT / "conf/flights.yaml").read_text())
    content["train"]["ranks"] = 7
    code, lines = doctor(write("c.yaml", yaml.safe_dump(content)))
    assert code == 5
    assert "7 ranks need 7 slots at once, the cluster has 2 by " in lines["slots"]


def test_a_wrong_configuration_is_no_traceback(write: Callable[[str, str], str]) -> None:
    code, lines = doctor(write("c.yaml", "nothing: 1"))
    assert code == 5
    assert lines["slots"].startswith("WRONG")
    assert "Traceback" not in lines["slots"]


def test_the_light_form_is_json_of_names_sights_and_fixes_and_takes_under_2_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "setup/doctor.py", "--config", "conf/flights.yaml", "--light", "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    completed = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "JAVA_HOME": str(tmp_path)}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert completed.returncode == 5, completed.stderr
    findings = {each["name"]: each for each in json.loads(completed.stdout)}
    assert "Horovod" not in findings and {"Java", "processor", "slots", "executors"} <= set(findings)
    assert {name for name, each in findings.items() if not each["ok"]} == {"Java"}
    assert findings["Java"]["saw"].startswith("no Java found (")
    assert findings["Java"]["fix"] == "Install openjdk-17-jre-headless, or set JAVA_HOME."
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 2  # a busy machine takes longer


@pytest.fixture
def spark_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the Spark settings of a cluster, for a configuration with 3 ranks and some launcher."""

    def _write(*lines: str, launcher: str = "barrier") -> None:
        (tmp_path / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
        monkeypatch.setattr(checks, "configured", lambda _: {"ranks": 3, "launcher": launcher})

    return _write


def test_dynamic_allocation_and_a_barrier_stage_exclude_each_other(spark_defaults: Callable[..., None]) -> None:
    spark_defaults("spark.dynamicAllocation.enabled  true", "spark.speculation true")
    with pytest.raises(ProblemError, match=r"spark\.dynamicAllocation\.enabled is true in .*: Spark refuses the barrier"):
        checks.executors("c.yaml")


def test_speculation_starts_ranks_twice_where_they_are_in_no_barrier_stage(spark_defaults: Callable[..., None]) -> None:
    spark_defaults("# spark.dynamicAllocation.enabled true", "spark.speculation=true")
    assert checks.executors("c.yaml") == "no dynamic allocation, no rank is started twice"
    spark_defaults("spark.speculation = true", launcher="horovod_spark")
    with pytest.raises(ProblemError, match=r"spark\.speculation is true in .*: Spark would start a slow rank a second time"):
        checks.executors("c.yaml")


@pytest.mark.parametrize(
    "settings",
    [
        ["spark.executor.instances 2", "spark.executor.cores 1"],
        ["spark.executor.instances 4", "spark.executor.cores 3", "spark.task.cpus 2", "spark.cores.max 5"],
        ["spark.executor.instances 9", "spark.executor.cores 1", "spark.cores.max 2"],
    ],
)
def test_a_cluster_with_too_few_slots_is_reported(spark_defaults: Callable[..., None], settings: list[str]) -> None:
    spark_defaults("spark.master yarn", *settings)
    problem = r"3 ranks need 3 slots at once, the cluster has 2 by .*\. Set train\.ranks to that at most"
    with pytest.raises(ProblemError, match=problem):
        checks.slots("c.yaml")


def test_a_cluster_with_enough_slots_or_none_declared_is_well(spark_defaults: Callable[..., None]) -> None:
    spark_defaults("spark.master yarn", "spark.executor.instances 2", "spark.executor.cores 2")
    assert checks.slots("c.yaml") == "3 ranks, 4 slots"
    spark_defaults("spark.master spark://head:7077")
    assert checks.slots("c.yaml") == "3 ranks, as many slots as the cluster has"
