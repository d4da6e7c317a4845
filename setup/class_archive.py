"""What setup/class_archive.sh runs: ingest, clean and features over a small sample of the flights, in a folder of its own."""

import sys
from itertools import islice
from pathlib import Path

import yaml

from pipelines.runtime.application import run_application
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST

ROOT = Path(__file__).resolve().parent.parent
EVERY = 40  # of the flights, one row is taken; the other tables are small


def main(folder: Path) -> int:
    """Run the three steps; the exit code of the application."""
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text(encoding="utf-8"))
    content["lake"] = {"warehouse": str(folder / "warehouse")}
    flights = ROOT / content["sources"]["flights"]["path"]
    with flights.open(encoding="utf-8") as source, (folder / "flights.csv").open("w", encoding="utf-8") as sample:
        sample.writelines(islice(source, 0, 1))
        sample.writelines(islice(source, 0, None, EVERY))
    content["sources"]["flights"]["path"] = str(folder / "flights.csv")
    config = folder / "flights.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return run_application("class_archive", (INGEST, CLEAN, FEATURES), ["--config", str(config)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
