"""A spark-sql shell on a pipeline's tables: `python setup/sql.py --config conf/flights.yaml [-- -e 'select ...']`."""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.config import read_config
from pipelines.errors import RingmillError
from pipelines.io.catalog import catalog_settings


def main(argv: list[str]) -> None:
    """Run spark-sql with the pipeline's catalog, in its namespace; raises SystemExit with its exit code."""
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
    program = str(Path(sys.executable).with_name("spark-sql"))
    # In a file that nobody else can read: everybody can read a command line, and the catalog may have a password.
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        # Java takes a backslash for the start of an escape.
        file.writelines("{} {}\n".format(key, value.replace("\\", "\\\\")) for key, value in settings.items())
        file.flush()
        signal.signal(signal.SIGINT, lambda *_: None)  # the shell's to answer
        given = ["--properties-file", file.name, "--load-spark-defaults"]
        done = subprocess.run([program, *given, "--database", config.pipeline, *rest], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
