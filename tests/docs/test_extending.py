"""docs/extending.md, done as it says: its files and changes in a copy of the tree, its test, its pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import java
from tests.root import ROOT
from tests.sample import write_sample

TREE = ("benchmarks", "conf", "jobs", "pipelines", "schemas", "setup", "tests", "Makefile", "pyproject.toml")
EVERY = 8  # flights to one of the sample
BLOCK = re.compile(r"(?:^`([\w./]+)`\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with all that the page adds."""
    copy = tmp_path_factory.mktemp("tree")
    for name in TREE:
        ignored = shutil.ignore_patterns("__pycache__", "results")
        (
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
            if (ROOT / name).is_dir()
            else shutil.copy(ROOT / name, copy)
        )
    (copy / ".venv").symlink_to(ROOT / ".venv")
    (copy / "data").mkdir()
    write_sample(ROOT / "data" / "nycflights13", copy / "data" / "nycflights13", every=EVERY)
    files = 0
    for path, language, content in BLOCK.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")):
        if language == "diff":
            completed = subprocess.run(
                ["git", "apply", "-"], input=content, text=True, cwd=copy, capture_output=True, check=False
            )
            assert completed.returncode == 0, f"{completed.stderr}\n{content}"
            continue
        assert path, f"a block without a file's name: {content}"
        assert not (copy / path).exists(), f"{path} is there already"
        (copy / path).write_text(content, encoding="utf-8")
        files += 1
    assert files == 7
    return copy


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in the copy."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    quick = {"SPARK_SUBMIT_OPTS": java.QUICK_COMPILER}  # how little data an API has spark-env.sh does not know
    environment = {**inherited, **quick, "PYTHONPATH": str(tree), "SPARK_CONF_DIR": str(tree / "conf" / "spark")}
    if "PYSPARK_PYTHON" in os.environ:
        environment["PYSPARK_PYTHON"] = os.environ["PYSPARK_PYTHON"]
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run([str(program), *command[1:]], cwd=tree, env=environment, text=True, capture_output=True, check=False)


@pytest.mark.slow
def test_what_the_page_adds_passes_the_linter_and_its_own_test(tree: Path) -> None:
    linted = run(tree, "ruff", "check", "--no-cache", ".")
    assert linted.returncode == 0, linted.stdout
    tested = run(tree, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/pipelines/stages/test_air_time.py")
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout


@pytest.mark.slow
def test_the_pages_pipeline_runs_and_beats_its_baseline(tree: Path) -> None:
    config = tree / "conf" / "air_time.yaml"
    edited, whole = config.read_text(), "train:\n  epochs: 5\n"
    assert whole in edited
    config.write_text(edited.replace(whole, f"{whole}  batch_size: {1024 // EVERY}\n"))  # as many steps as over all flights
    assert run(tree, "python", "setup/airports.py").returncode == 0
    completed = run(tree, "spark-submit", "jobs/pipeline.py", "--config", "conf/air_time.yaml")
    assert completed.returncode == 0, completed.stdout
    mae = next(line for line in completed.stdout.splitlines() if line.split()[:1] == ["mae"]).split()
    assert float(mae[2]) < 0.7 * float(mae[3])
    assert re.search(r"ingest +airports +1,458 +1,458", completed.stdout)
