"""Write dist/: `python -m setup.package [--folder dist] [--level 3]`, by `make package`."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from setup.package.archive import Member, newest_glibc, sha256, write_tar, write_zip
from setup.package.interpreter import interpreter_members
from setup.package.packages import package_members, runtime_packages, spark_members

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
APPLICATION = ("pipelines", "schemas", "jobs")
# What holds of one machine alone; a cluster's address is given to submit.sh.
EMBEDDED = ("spark.master", "spark.driver.bindAddress", "spark.driver.host")
SPARK_FILES = ("locale.sh", "run-folder.sh", "log4j2.properties")
COPIED = ("submit.sh", "executor-python.sh", "Dockerfile")
LIST = "SHA256SUMS"


def build(folder: Path, level: int, report: Callable[[str], None] = print) -> None:
    """Write the package to a folder, whole or not at all; `level` is ISA-L's, from 0 (fast) to 3 (small)."""
    with tempfile.TemporaryDirectory(prefix="ringmill-package-") as work:
        target = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        sizes = _write_archives(target, Path(work), level)
        _copy_jars(target / "jars")
        _copy_configuration(target / "conf")
        for name in COPIED:
            shutil.copy2(HERE / name, target / name)
        _write_list(target)
    shutil.rmtree(folder, ignore_errors=True)
    target.rename(folder)
    for name, unpacked in sizes.items():
        report(f"  {name:20} {(folder / name).stat().st_size / 1e6:7.1f} MB, unpacked {unpacked / 1e6:7.1f} MB")
    report(f"  {folder} holds {sum(path.stat().st_size for path in _files(folder)) / 1e6:.1f} MB")


def _write_archives(target: Path, work: Path, level: int) -> dict[str, int]:
    """Write the three archives and the manifest; returns the unpacked bytes of each archive."""
    packages = runtime_packages()
    environment = [*interpreter_members(work), *package_members(packages)]
    manifest = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "glibc": newest_glibc(environment),
        "packages": {name: packages[name].version for name in sorted(packages)},
    }
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return {
        "environment.tar.gzip": write_tar(environment, target / "environment.tar.gzip", level),
        "spark.tar": write_tar(spark_members(packages["pyspark"]), target / "spark.tar"),
        "ringmill.zip": write_zip(_application(), target / "ringmill.zip"),
    }


def _application() -> Iterator[Member]:
    for package in APPLICATION:
        for path in _files(ROOT / package):
            if "__pycache__" not in path.parts:
                yield Member(path.relative_to(ROOT).as_posix(), path)


def _copy_jars(folder: Path) -> None:
    folder.mkdir()
    for path in sorted((ROOT / ".venv" / "jars").glob("*.jar")):
        shutil.copy2(path, folder)


def _copy_configuration(folder: Path) -> None:
    spark = folder / "spark"
    spark.mkdir(parents=True)
    for path in (ROOT / "conf").glob("*.yaml"):
        shutil.copy2(path, folder)
    for name in SPARK_FILES:
        shutil.copy2(ROOT / "conf" / "spark" / name, spark)
    shutil.copy2(HERE / "spark-env.sh", spark)
    lines = (ROOT / "conf" / "spark" / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if line and not line.startswith(("#", *EMBEDDED))]
    text = "# Of ringmill's own conf/spark/spark-defaults.conf: what holds on every cluster.\n" + "\n".join(settings) + "\n"
    (spark / "spark-defaults.conf").write_text(text, encoding="utf-8")


def _write_list(folder: Path) -> None:
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / LIST).write_text("".join(lines), encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Build the package; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "dist", help="where to write it (default: dist)")
    parser.add_argument("--level", type=int, default=2, choices=range(4), help="of gzip by ISA-L, 0 (fast) to 3 (small)")
    arguments = parser.parse_args()
    build(arguments.folder.absolute(), arguments.level)
    return 0


if __name__ == "__main__":
    sys.exit(main())
