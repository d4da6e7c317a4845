"""Each job says what it is for, what it takes and how it ends, without Spark or TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runtime.command_line import PURPOSES, main
from tests.root import ROOT

CODES = ("0", "1", "2", "3", "4", "5", "130", "143")
LOADED = """
import sys
from pipelines.runtime.command_line import main
try:
    main(sys.argv[1], ["--help"])
finally:
    print("loaded", sorted({"pyspark", "tensorflow", "pandas"} & set(sys.modules)))
"""


OWN = ("--every", "--dry-run", "--run ", "--version", "--rollback", "--model", "RUN RUN", "--json", "--max-age")
OPTIONS = {
    "maintain": ["--dry-run"],
    "publish": ["--run "],
    "promote": ["--version", "--rollback"],
    "predict": ["--every", "--model"],
    "compare": ["RUN RUN"],
    "status": ["--json", "--max-age"],
    "doctor": ["--json"],
}


@pytest.mark.parametrize("job", PURPOSES)
def test_help_states_purpose_options_and_exit_codes(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(job, ["--help"])
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert PURPOSES[job] in output
    assert f"jobs/{job}.py" in output.splitlines()[0]
    assert [line.split()[0] for line in output.partition("exit codes:")[2].splitlines() if line.strip()] == list(CODES)
    assert [option for option in OWN if option in output] == OPTIONS.get(job, ["--every"])


def test_every_job_has_an_entry_point_of_its_name() -> None:
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "jobs").glob("[a-z]*.py")}
    assert set(scripts) == set(PURPOSES)
    assert [job for job, text in scripts.items() if not text.endswith(f'    run_program("{job}")\n')] == []


def test_help_loads_neither_spark_nor_tensorflow() -> None:
    completed = subprocess.run([sys.executable, "-c", LOADED, "train"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("arguments", [["--help"], ["--config", "conf/digits.yaml", "-h"]])
def test_spark_submit_answers_help_without_java(arguments: list[str], tmp_path: Path) -> None:
    script = f'. "{ROOT}/conf/spark/spark-env.sh"; echo Java would start'
    command = ["bash", "-c", script, "bash", "org.apache.spark.deploy.SparkSubmit", "jobs/drift.py", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "RINGMILL_ROOT": str(ROOT), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    given = {**environment, "SPARK_CONF_DIR": str(ROOT / "conf" / "spark")}
    completed = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert completed.stdout.startswith("usage: spark-submit jobs/drift.py"), completed.stderr
    assert "Java would start" not in completed.stdout
