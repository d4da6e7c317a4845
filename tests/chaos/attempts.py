"""One start of a pipeline after the other by the same command, as a scheduler does it, each with a few strikes at most."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.targets import KINDS, processes_of, take_down
from tests.chaos.world import World

STEPS = ("ingest", "clean", "features", "train", "evaluate", "publish")
LONGEST_SECONDS = 1800  # of an attempt, strike included; what takes longer hangs
START_SECONDS, STEP_SECONDS = 15.0, 5.0  # how long after an application, or a step, began it may be struck
POLL_SECONDS = 0.5
MOST_STRUCK = 6  # attempts of one round, after which it is left alone
MOST_UNHEALED = 2  # attempts after that
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
# Exit codes that a strike may lead to: a driver is killed, or ends since the process that it needs is gone.
MAY_END = {kind: {*KILLED, 1} if kind == "driver" else {5} for kind in KINDS}


class Strike(NamedTuple):
    """What was struck in which step."""

    what: str
    step: str

    @property
    def kind(self) -> str:
        """The kind of what was struck, one of KINDS."""
        return self.what.split(" ")[0]

    def __str__(self) -> str:
        return f"{self.what} in {self.step}"


@dataclass(frozen=True)
class Attempt:
    """How one start of the pipeline ended: what was struck in which step, the exit code and the last line of an error."""

    at: datetime
    round: int
    struck: tuple[Strike, ...]
    code: int
    seconds: float
    error: str

    def line(self) -> str:
        """One line of the log."""
        struck = f"{', '.join(map(str, self.struck)) or 'nothing':<32}"
        healed_by = "the run itself" if self.code == 0 else "the same command again"
        last = f"  | {self.error}" if self.error else ""
        how = f"exit {self.code:>3} after {self.seconds:>3.0f} s  {healed_by if self.struck else ''}{last}"
        return f"{self.at:%H:%M:%S}  round {self.round:>2}  {struck} {how}"


@dataclass
class Loop:
    """Runs a pipeline round after round until a deadline; `problems` has what no strike may lead to."""

    world: World
    config: Path
    choice: random.Random
    strikes: int = 1  # of an attempt, at most
    problems: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._kinds = self._shuffled()
        self._next = next(self._kinds)

    def run(self, deadline: float, most_rounds: int | None = None) -> None:
        """Run rounds, each on other source data than the one before, until `time.monotonic()` has passed the deadline."""
        for number in count(1):
            self.world.send(number % 2)
            self._round(number, deadline)
            if time.monotonic() > deadline or number == most_rounds:
                return

    def _round(self, number: int, deadline: float) -> None:
        """Start the pipeline until it ends well; raises RuntimeError when it never does."""
        for tries in range(1, MOST_STRUCK + MOST_UNHEALED + 1):
            attempt = self._attempt(number, strike=time.monotonic() < deadline and tries <= MOST_STRUCK)
            self.attempts.append(attempt)
            print(attempt.line(), flush=True)
            self._check(attempt)
            if attempt.code == 0:
                return
        raise RuntimeError(f"round {number} did not end well in {tries} attempts, of which {MOST_UNHEALED} were undisturbed")

    def _check(self, attempt: Attempt) -> None:
        allowed = {0}.union(*(MAY_END[strike.kind] for strike in attempt.struck))
        if attempt.code not in allowed:
            struck = ", ".join(map(str, attempt.struck)) or "no strike"
            self.problems.append(f"{struck}: ended in exit {attempt.code}: {attempt.error}")

    def _attempt(self, number: int, *, strike: bool) -> Attempt:
        log = self.world.folder / "logs" / f"{len(self.attempts) + 1:03}.log"
        log.parent.mkdir(exist_ok=True)
        command = self.world.command("jobs/pipeline.py", "--config", str(self.config), "--log-format", "json")
        began = time.monotonic()
        process = self.world.start(command, log)
        struck = list[Strike]()
        try:
            while strike and len(struck) < self.strikes and (one := self._strike(process, began, log)):
                struck.append(one)
            at = datetime.now(UTC)
            code = self._wait(process, began, log)
        except BaseException:  # the loop is interrupted
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return Attempt(at, number, tuple(struck), code, time.monotonic() - began, "" if code == 0 else last_error(log))

    def _strike(self, process: subprocess.Popen[bytes], began: float, log: Path) -> Strike | None:
        """Take down what is next, some time after a random step began; nothing where the run ends before."""
        kind = self._next
        since: float | None = None
        first = "train" if kind == "rank" else self.choice.choice(STEPS)
        delay = self.choice.uniform(0.0, START_SECONDS if first == STEPS[0] else STEP_SECONDS)
        while process.poll() is None and time.monotonic() - began < LONGEST_SECONDS:
            step = step_of(log)
            if step in STEPS[STEPS.index(first) :] and processes_of(kind, process.pid):
                since = since or time.monotonic()
                if time.monotonic() - since >= delay:
                    self._next = next(self._kinds)
                    return Strike(take_down(kind, self.world, process.pid, self.choice), step)
            time.sleep(POLL_SECONDS)
        return None

    def _wait(self, process: subprocess.Popen[bytes], began: float, log: Path) -> int:
        try:
            return process.wait(max(1.0, began + LONGEST_SECONDS - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.problems.append(f"a run hung in {step_of(log)} for {LONGEST_SECONDS} s: {log}")
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _shuffled(self) -> Iterator[str]:
        """All kinds in a random order, and again in another."""
        while True:
            yield from self.choice.sample(KINDS, len(KINDS))


def _lines(log: Path) -> list[dict[str, Any]]:
    """The JSON lines of a run's log; Java's own are not."""
    lines = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            content = json.loads(line)
            lines += [content] if isinstance(content, dict) else []
    return lines


def step_of(log: Path) -> str:
    """The step that a run is at work on, by those that its log says are done."""
    done = {line.get("step") for line in _lines(log) if str(line.get("message")).startswith(f"{line.get('step')}:")}
    return next((step for step in STEPS if step not in done), "the end")


def last_error(log: Path) -> str:
    """The last line of level error, or of a log that has none its last line."""
    errors = [str(line["message"]) for line in _lines(log) if line.get("level") == "error"]
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
    return (errors or lines)[-1].splitlines()[0]
