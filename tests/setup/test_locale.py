"""Whatever the locale, Java and Python read and write UTF-8, in contents and in names of files."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JAVA = "java -XshowSettings:properties -version 2>&1 | grep -E 'file.encoding|sun.jnu.encoding'"
PYTHON = "import locale, sys; print(sys.getfilesystemencoding(), locale.getpreferredencoding(), sys.stdout.encoding)"


@pytest.mark.parametrize("settings", [{}, {"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.ISO-8859-1", "LC_CTYPE": "C"}])
@pytest.mark.parametrize("script", ["setup/env.sh", "conf/spark/spark-env.sh"])
def test_java_and_python_speak_utf8(settings: dict[str, str], script: str) -> None:
    inherited = {key: value for key, value in os.environ.items() if key != "LANG" and not key.startswith(("LC_", "PYTHON"))}
    command = f". {ROOT / script}; {JAVA}; {ROOT}/.venv/bin/python -c '{PYTHON}'"
    completed = subprocess.run(
        ["bash", "-c", command], env={**inherited, **settings}, capture_output=True, text=True, check=False
    )
    words = completed.stdout.split()
    assert (words.count("UTF-8") + words.count("utf-8"), "ANSI" in completed.stdout) == (5, False), completed


def test_a_locale_of_utf8_stays() -> None:
    environment = {**os.environ, "LC_ALL": "C.utf8"}
    command = f". {ROOT}/setup/env.sh; echo $LC_ALL"
    completed = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "C.utf8"
