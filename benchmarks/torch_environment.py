"""The environment of the peer on torch: torch is nothing that ringmill needs, so it has one of its own in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("torch-requirements.txt")
SHARED = ("numpy", "pandas", "pyarrow", "pyspark", "python-dateutil", "pytz", "six", "tzdata")  # in the project's own versions


def torch_environment() -> Path | str:
    """The folder of an environment in which torch trains on Spark, made when it is missing; or, in one line, why there is none.

    About 1.5 GB are downloaded, once, and take 4.5 GB of disk.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "ringmill" / "bench-torch"
    pins = [f"{name}=={version(name)}" for name in SHARED]
    wanted = hashlib.sha256("\n".join([REQUIREMENTS.read_text(), *pins, sys.version]).encode()).hexdigest()
    stamp = folder / ".ready"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    print(f"installing torch into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", str(folder))
        quiet = ("--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps")
        _run(str(folder / "bin" / "pip"), "install", *quiet, "-r", str(REQUIREMENTS), *pins)
        _run(str(folder / "bin" / "python"), "-c", "import pandas, pyspark.ml.torch.distributor, torch.distributed")
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no word"])[-1]
        return f"no environment with torch: {Path(error.cmd[0]).name} ended with code {error.returncode}: {said}"
    stamp.write_text(wanted)
    return folder


def _run(*command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, check=True, env=environment, stderr=subprocess.PIPE, text=True)
