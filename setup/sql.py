"""A spark-sql shell on a pipeline's tables: `python setup/sql.py --config conf/flights.yaml [-- -e 'select ...']`."""

import argparse
import os
import sys
from pathlib import Path

from pipelines.config import read_config
from pipelines.errors import RingmillError
from pipelines.io.catalog import catalog_settings


def main(argv: list[str]) -> None:
    """Replace this process by spark-sql with the pipeline's catalog, in its namespace."""
    own, rest = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(prog="make sql")
    parser.add_argument("--config", type=Path, required=True)
    try:
        config = read_config(parser.parse_args(own).config)
    except RingmillError as error:
        print(f"ringmill: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    settings = {
        **catalog_settings(config.lake),
        "spark.sql.defaultCatalog": "lake",
        "spark.master": "local[2]",
        "spark.sql.catalogImplementation": "in-memory",
    }
    flags = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    program = Path(sys.executable).with_name("spark-sql")
    os.execv(program, [str(program), *flags, "--database", config.pipeline, *rest])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
