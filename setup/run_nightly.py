"""Play nights of the flights pipeline, one after the other: `make run-nightly`.

Each night a day's files arrive, which are landed and cleaned as an interval of their own and scored with the model in use. From
the third Sunday on a model is trained each Sunday on the window of the four weeks before. Among the nights are one on which
flights of the day before come late, one that corrects some of the day before, one whose flights name an airport as the contract
does not know it, and the night on which the contract is corrected and these are replayed. At the end the same files are landed
and cleaned as one interval, and both clean tables are compared, row for row.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pyspark.sql import SparkSession
from rich.console import Console
from sklearn.metrics import roc_auc_score

from pipelines.config import Interval, Pipeline
from pipelines.errors import QualityError
from pipelines.io.lake import Lake
from pipelines.registry.versions import CHAMPION, holder
from pipelines.runtime.application import Arguments, parser, run_job
from pipelines.runtime.command_line import JobParser
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.intervals import run_steps
from pipelines.runtime.runs import RunLog, new_run_id
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.evaluate import STEP as EVALUATE
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.predict import predict_step
from pipelines.steps.publish import publish_step
from pipelines.steps.registry import read_history
from pipelines.steps.replay import STEP as REPLAY
from pipelines.steps.train import STEP as TRAIN

ROOT = Path(__file__).resolve().parent.parent
FIRST = date(2013, 1, 1)
WINDOW_DAYS, TRAINED_FROM = 28, 19
SUNDAY = 6
FEW = 5  # flights that come late, are corrected or misspelt
EVENTS = ("flights", "weather")
NOT_COMPARED = ("run_id", "interval_from", "interval_to", "landing_order")

Row = dict[str, str]


class Nights(NamedTuple):
    """How many nights are played, and on which of them something happens, counted from 0."""

    played: int = 60
    late: int = 9
    corrected: int = 19
    misspelt: int = 24
    replayed: int = 27


def main(argv: Sequence[str]) -> int:
    """Write the files and play the nights; the exit code, which is 1 when the clean tables differ."""
    arguments = _parser().parse_args(argv)
    nights = Nights(played=arguments.nights)
    write_files(ROOT / "data" / "nycflights13", ROOT / "warehouse" / "nightly", nights)
    same: list[bool] = []

    def work(context: Context, _: Arguments) -> None:
        _forget_tables(context)
        play(context.spark, context.config, nights, context.console, learns=True)
        same.append(matches_whole(context.spark, context.config, nights, context.console))

    return run_job("nightly", _parser(), argv, work) or int(same != [True])


def _parser() -> JobParser:
    options = parser("nightly", parts=False)
    options.add_argument("--nights", type=int, default=Nights().played, help="how many nights are played (default: 60)")
    return options


def _forget_tables(context: Context) -> None:
    """Drop the tables of nights that were played before."""
    for pipeline in (context.config.pipeline, _whole(context.config).pipeline):
        lake = Lake(context.spark, pipeline, context.run_id)
        for table in lake.tables():
            context.spark.sql(f"DROP TABLE {lake.identifier(table)} PURGE")


def _whole(config: Pipeline) -> Pipeline:
    return config.model_copy(update={"pipeline": f"{config.pipeline}_whole"})


def write_files(data: Path, folder: Path, nights: Nights, every: int = 1) -> None:
    """Write each night's files: of the flights every so many-th, and the weather, by the local day that they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.csv"):
        file.unlink()
    by_day = {source: _rows_by_day(data / f"{source}.csv", step) for source, step in (("flights", every), ("weather", 1))}
    days = [FIRST + timedelta(days=number) for number in range(nights.played)]
    for number, day in enumerate(days):
        flights, extra = by_day["flights"][day], dict[str, list[Row]]()
        if number + 1 == nights.late:
            flights, late = flights[FEW:], flights[:FEW]
            _write(folder / f"flights-{days[nights.late]}-late.csv", late)
        if number == nights.corrected:
            arrived = [row for row in by_day["flights"][days[number - 1]] if row["arr_delay"] != "NA"][-FEW:]
            extra["correction"] = [{**row, "arr_delay": str(int(row["arr_delay"]) - 30)} for row in arrived]
        if number == nights.misspelt:
            from_newark = [row for row in flights if row["origin"] == "EWR"][:FEW]
            flights = [{**row, "origin": "NEWARK"} if row in from_newark else row for row in flights]
        _write(folder / f"flights-{day}.csv", flights)
        _write(folder / f"weather-{day}.csv", by_day["weather"][day])
        for name, rows in extra.items():
            _write(folder / f"flights-{day}-{name}.csv", rows)


def _rows_by_day(path: Path, every: int) -> dict[date, list[Row]]:
    rows: dict[date, list[Row]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number % every == 0:
                rows[date(int(row["year"]), int(row["month"]), int(row["day"]))].append(row)
    return rows


def _write(path: Path, rows: list[Row]) -> None:
    if not rows:
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def play(spark: SparkSession, config: Pipeline, nights: Nights, console: Console, *, learns: bool) -> None:
    """Play the nights; with `learns` models are trained on Sundays, and score the days after."""
    before = config.model_copy(update={"contracts": "setup.nightly_before"})
    for number in range(nights.played):
        day = FIRST + timedelta(days=number)
        console.print(f"\nnight {number + 1}: {day:%A, %Y-%m-%d}{_what_happens(nights, number)}", style="bold", soft_wrap=True)
        known = before if number < nights.replayed else config
        night = _context(spark, known, day, day + timedelta(days=1), console)
        run_steps([INGEST, CLEAN], night, force=False)
        if number == nights.replayed:
            misspelt = FIRST + timedelta(days=nights.misspelt)
            run_steps([REPLAY], _context(spark, config, misspelt, misspelt + timedelta(days=1), console), force=False)
        if learns and holder(read_history(night), CHAMPION):
            _score(night)
        if learns and number >= TRAINED_FROM and day.weekday() == SUNDAY:
            start = max(FIRST, day - timedelta(days=WINDOW_DAYS - 1))
            _learn(_context(spark, known, start, day + timedelta(days=1), console))


def _what_happens(nights: Nights, number: int) -> str:
    happens = {
        nights.late: "flights of the day before come late",
        nights.corrected: "flights of the day before are corrected",
        nights.misspelt: "an airport has a name that the contract does not know",
        nights.replayed: "the contract knows that name now, and the refused flights are replayed",
    }
    return f": {happens[number]}" if number in happens else ""


def _context(spark: SparkSession, config: Pipeline, start: date, end: date, console: Console) -> Context:
    """A run of its own over some local days."""
    zone = ZoneInfo(config.timezone)
    first, last = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (start, end))
    interval, lake = Interval(start=first, end=last), Lake(spark, config.pipeline, new_run_id())
    path = "conf/flights_nightly.yaml"
    return Context(config, interval, spark, lake, RunLog(lake, interval), console, config_path=path)


def _score(night: Context) -> None:
    """Score the night's flights with the model in use, and print how well it ranks those that arrived."""
    execute(predict_step(), night, force=False)
    scored = night.lake.read("scores").where(night.in_interval).select("label", "score", "model_version").dropna().collect()
    labels = [row.label for row in scored]
    auc = f"{roc_auc_score(labels, [row.score for row in scored]):.3f}" if len(set(labels)) > 1 else "not defined"
    versions = ", ".join(str(version) for version in sorted({row.model_version for row in scored}))
    night.console.print(f"  evaluated: AUC {auc} of version {versions} on {len(scored):,} flights")


def _learn(window: Context) -> None:
    """Fit features, train, evaluate and publish on a window; a model that its gate refuses is not used."""
    window.console.print(f"trained on {window.shown(*window.bounds)}", style="bold")
    run_steps([FEATURES, TRAIN, EVALUATE], window, force=False)
    try:
        execute(publish_step(None), window, force=False)
    except QualityError as error:
        window.console.print(f"  refused: {error}", style="yellow", soft_wrap=True)


def matches_whole(spark: SparkSession, config: Pipeline, nights: Nights, console: Console) -> bool:
    """Land and clean all nights' files as one interval of another pipeline, and say whether the clean tables are the same."""
    end = FIRST + timedelta(days=nights.played)
    console.print(f"\nall {nights.played} days as one interval", style="bold")
    at_once = _context(spark, _whole(config), FIRST, end, console)
    run_steps([INGEST, CLEAN], at_once, force=False)
    in_turn = _context(spark, config, FIRST, end, console)
    same = [_same_rows(at_once, in_turn, f"clean_{source}") for source in EVENTS]
    return all(same)


def _same_rows(at_once: Context, in_turn: Context, table: str) -> bool:
    whole, nightly = (context.lake.read(table).drop(*NOT_COMPARED) for context in (at_once, in_turn))
    missing, other, rows = whole.exceptAll(nightly).count(), nightly.exceptAll(whole).count(), nightly.count()
    verdict = "the same, row for row" if not missing and not other else f"{missing:,} are missing, {other:,} are others"
    at_once.console.print(f"{table}: {rows:,} rows night by night, {whole.count():,} at once: {verdict}", soft_wrap=True)
    return not missing and not other


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
