"""The kill loop: `python -m tests.chaos --minutes 30 --seed 7`; exits with 1 and a list where something does not heal.

Rounds of a pipeline over a sample of the flights run on a Spark cluster, with tables on S3, and a source and the catalog in
PostgreSQL. The source data change from round to round. A seeded killer strikes in each attempt; a run that fails is started
again by the same command. Afterwards the tables are those of a pipeline that ran once and undisturbed, and nothing is left
behind.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.attempts import Loop, last_error
from tests.chaos.leftovers import DRIVER, leftovers, processes
from tests.chaos.world import World, world
from tests.processes import NAMES, running

DISTURBED, UNDISTURBED = "chaos", "calm"
END_SECONDS = 3600  # of a very busy machine


def main() -> int:
    """Run the loop and print its log; return 0 when all is well."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--minutes", type=float, default=30, help="how long new strikes begin (default 30)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of what is struck when")
    parser.add_argument("--strikes", type=int, default=1, help="how many of them in an attempt, at most (default 1)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the runs' logs")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ringmill-chaos-"))
    print(f"kill loop: {arguments.minutes:g} minutes, seed {arguments.seed}, logs in {folder}/logs", flush=True)
    problems = chaos(folder, arguments.minutes, arguments.seed, arguments.strikes)
    print(*(f"NOT WELL: {problem}" for problem in problems), sep="\n")
    print("the tables are those of an undisturbed run, and nothing is left behind" if not problems else "", flush=True)
    if not problems and not arguments.keep:
        shutil.rmtree(folder)
    return int(bool(problems))


def chaos(folder: Path, minutes: float, seed: int, strikes: int = 1, most_rounds: int | None = None) -> list[str]:
    """Run the loop in an empty folder; return what is not as it should be."""
    before = running((*NAMES, DRIVER))
    with world(folder, (DISTURBED, UNDISTURBED)) as servers:
        loop = Loop(servers, servers.config(DISTURBED), random.Random(seed), strikes)
        loop.run(time.monotonic() + minutes * 60, most_rounds)
        ended = time.time()
        print(summary(loop), flush=True)
        if any(attempt.code for attempt in loop.attempts):  # a run that healed by itself leaves nothing that would need it
            submitted(servers, "jobs/maintain.py", "--config", str(servers.config(DISTURBED)), "--log-format", "json")
        problems = [*loop.problems, *after(servers)]
        if not any(attempt.struck for attempt in loop.attempts):
            problems.append("nothing was struck: each run ended before")
        problems += leftovers(servers, before, ended)
    return problems + processes(folder, before)


def summary(loop: Loop) -> str:
    """How many strikes there were, of which kind, and what healed them."""
    struck = [attempt for attempt in loop.attempts if attempt.struck]
    kinds = Counter(strike.kind for attempt in struck for strike in attempt.struck)
    healed = sum(attempt.code == 0 for attempt in struck)
    counts = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    return (
        f"{kinds.total()} strikes ({counts}) in {len(struck)} runs: {healed} healed by themselves, "
        f"{len(struck) - healed} by the same command again"
    )


def after(servers: World) -> list[str]:
    """Run the undisturbed pipeline on the same data, and compare."""
    result = compared(servers)
    rows = ", ".join(f"{name} {count:,}" for name, count in result["rows"].items())
    print(f"compared: {rows}", flush=True)
    problems = [
        f"table {name}: {ours:,} rows differ from the {theirs:,} of an undisturbed run"
        for name, (ours, theirs) in result["differences"].items()
    ]
    problems += [f"table {name} is in one pipeline alone" for name in result["missing"]]
    problems += [f"audit branch: {branch}" for branch in result["branches"]]
    return problems + ([] if result["champion"] else ["the champion is not the model of the last evaluation"])


def compared(servers: World) -> dict[str, Any]:
    """What tables.py finds."""
    both = [str(servers.config(name)) for name in (DISTURBED, UNDISTURBED)]
    # It needs no executors: where a pipeline runs changes no row.
    output = submitted(servers, "tests/chaos/tables.py", *both, master="local[2]")
    return dict(json.loads(next(line.removeprefix("RESULT ") for line in output.splitlines() if line.startswith("RESULT "))))


def submitted(servers: World, program: str, *arguments: str, master: str | None = None) -> str:
    """Run a program on the cluster, or on another master; its output. Raises RuntimeError when it fails."""
    log = servers.folder / f"{Path(program).stem}.log"
    began = time.monotonic()
    code = servers.start(servers.command(program, *arguments, master=master), log).wait(END_SECONDS)
    print(f"{program}: exit {code} after {time.monotonic() - began:.0f} s", flush=True)
    if code:
        raise RuntimeError(f"{program} ended in exit {code}: {last_error(log)}")
    return log.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
