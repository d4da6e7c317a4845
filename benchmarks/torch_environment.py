"""The environment of the peer on torch: torch is nothing that ringmill needs, so it has one of its own in the user's cache."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from setup.environments import EnvironmentFailedError, environment

REQUIREMENTS = Path(__file__).with_name("torch-requirements.txt")
SHARED = ("numpy", "pandas", "pyarrow", "pyspark", "python-dateutil", "pytz", "six", "tzdata")  # in the project's own versions


def torch_environment() -> Path | str:
    """The folder of an environment in which torch trains on Spark, made when it is missing; or, in one line, why there is none.

    About 1.5 GB are downloaded, once, and take 4.5 GB of disk.
    """
    pins = [f"{name}=={version(name)}" for name in SHARED]
    check = "import pandas, pyspark.ml.torch.distributor, torch.distributed"
    try:
        return environment("bench-torch", REQUIREMENTS, *pins, check=check)
    except EnvironmentFailedError as error:
        return f"no environment with torch: {error}"
