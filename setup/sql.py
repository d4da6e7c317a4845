"""A SQL shell on a pipeline's tables: `python setup/sql.py --config conf/flights.yaml [-- -e 'select ...' | -f FILE]`.

Results have their column names: aligned on a terminal, separated by tabs elsewhere. Exit code 2 when a statement is wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import AnalysisException, PySparkException, PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.config import Pipeline, read_config
from pipelines.errors import ConfigError, ExternalError, RingmillError
from pipelines.io.catalog import catalog_settings
from pipelines.io.filesystem import warehouse_uri
from pipelines.io.java_errors import java_reason

PAGE_ROWS = 500  # that are aligned together
MISSING_TABLE = "TABLE_OR_VIEW_NOT_FOUND"
QUOTES = "'\"`"


def main(argv: list[str]) -> int:
    """Run statements, or a shell; the exit code."""
    own, rest = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(prog="make sql", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the pipeline's YAML, such as conf/flights.yaml")
    parser.add_argument("-e", dest="statements", metavar="SQL", help="run these statements, separated by semicolons")
    parser.add_argument("-f", dest="file", type=Path, help="run the statements of a file")
    arguments = parser.parse_args([*own, *rest])
    logging.disable()  # PySpark logs each error whole before it raises it
    try:
        config = read_config(arguments.config)
        shell = Shell(config, _session(config))
        if arguments.statements is None and arguments.file is None:
            return shell.converse()
        text = arguments.statements if arguments.file is None else arguments.file.read_text(encoding="utf-8")
        for statement in statements_of(text):
            shell.run(statement)
    except RingmillError as error:
        print(f"ringmill: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"ringmill: -f {arguments.file}: can't be read ({error.strerror}). Check the path.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


class Shell:
    """A session in the namespace of a pipeline. Raises ConfigError when it has no tables yet."""

    def __init__(self, config: Pipeline, spark: SparkSession) -> None:
        self._pipeline, self._spark = config.pipeline, spark
        try:
            self._spark.sql(f"USE lake.`{config.pipeline}`")
        except (PySparkException, Py4JJavaError) as error:
            raise ConfigError(
                f"pipeline {config.pipeline} has no tables in {warehouse_uri(config.lake)}. Run its jobs first, such as "
                f"spark-submit jobs/ingest.py, from the same folder."
            ) from error

    def tables(self) -> list[str]:
        """The pipeline's tables by name."""
        return sorted(row.tableName for row in self._spark.sql(f"SHOW TABLES IN lake.`{self._pipeline}`").collect())

    def run(self, statement: str) -> None:
        """Run one statement and print its rows; raises ConfigError in one sentence when it is wrong."""
        try:
            frame = self._spark.sql(statement)
            if frame.columns:
                show(frame, sys.stdout)
        except AnalysisException as error:
            raise ConfigError(self._explained(error)) from error
        except PySparkException as error:
            raise ConfigError(f"the statement failed: {_first_line(error)}") from error
        except Py4JJavaError as error:
            raise ConfigError(f"the statement failed: {java_reason(error)}") from error

    def converse(self) -> int:
        """Read statements, each up to a semicolon, until `quit` or the end of the input."""
        with suppress(ImportError):
            import readline  # noqa: F401 (input() has its keys then)
        print(f"Tables of {self._pipeline}: {', '.join(self.tables())}. End statements with ; and the shell with quit;")
        text = ""
        while True:
            try:
                text += input("      -> " if text else f"{self._pipeline}> ") + "\n"
                if text.strip().rstrip("; ").lower() in ("quit", "exit"):
                    return 0
                if text.rstrip().endswith(";"):
                    whole, text = text, ""
                    for statement in statements_of(whole):
                        self.run(statement)
            except ConfigError as error:
                print(f"ringmill: {error}", file=sys.stderr)
            except KeyboardInterrupt:  # Spark has cancelled its jobs; the answer to what was asked is not to come any more
                text = ""
                SparkContext._gateway._gateway_client.thread_connection.connection = None  # type: ignore[union-attr]
                print()
            except EOFError:
                print()
                return 0

    def _explained(self, error: AnalysisException) -> str:
        if error.getCondition() == MISSING_TABLE:
            name = (error.getMessageParameters() or {}).get("relationName", "").replace("`", "")
            return f"table {name} does not exist. The tables of {self._pipeline} are: {', '.join(self.tables())}."
        return f"the statement is wrong: {_first_line(error)}"


def show(frame: DataFrame, out: TextIO) -> None:
    """Print a frame's rows under its column names."""
    names = [f"c{name}" for name in range(len(frame.columns))]
    texts = frame.toDF(*names).select(*(F.coalesce(F.col(name).cast("string"), F.lit("NULL")) for name in names))
    rows: Iterator[tuple[str, ...]] = map(tuple, texts.toLocalIterator(prefetchPartitions=True))
    if not out.isatty():
        print(*frame.columns, sep="\t", file=out)
        for row in rows:
            print(*(text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n") for text in row), sep="\t", file=out)
        return
    while True:
        page = list(islice(rows, PAGE_ROWS))
        grid = Table(*frame.columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in page:
            grid.add_row(*row)
        Console(file=out, highlight=False, markup=False).print(grid)
        if len(page) < PAGE_ROWS:
            return


def statements_of(text: str) -> list[str]:
    """Statements that semicolons outside quotes separate."""
    parts, quote = [""], ""
    for sign in text:
        if sign == ";" and not quote:
            parts.append("")
            continue
        quote = (sign if not quote else "" if sign == quote else quote) if sign in QUOTES else quote
        parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def _session(config: Pipeline) -> SparkSession:
    settings = {
        **catalog_settings(config.lake),
        "spark.sql.defaultCatalog": "lake",
        "spark.sql.catalogImplementation": "in-memory",
    }
    # What Java prints as it starts is of interest when it does not.
    with tempfile.TemporaryFile("w+") as output:
        try:
            # Without settings: everybody can read a command line, and the catalog may have a password.
            SparkContext._ensure_initialized(gateway=launch_gateway(popen_kwargs={"stderr": output}))  # type: ignore[no-untyped-call]
        except (PySparkRuntimeError, OSError) as error:
            output.seek(0)
            raise ExternalError(f"Java did not start: {output.read()[-2000:] or error} Run `make doctor`.") from error
        builder = SparkSession.builder.master("local[2]").appName(f"ringmill sql {config.pipeline}")
        for key, value in settings.items():
            builder = builder.config(key, value)
        return builder.getOrCreate()


def _first_line(error: PySparkException) -> str:
    return str(error).strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
