"""The guard of the suite's time: the slowest modules are printed, and one that takes twice its budget fails the suite.

tests/budgets.yaml has the budgets, in seconds on an idle machine of two cores. On a slower or busier one every module takes
longer: the bound of each stretches by what the other named ones took together, as a share of their budgets together. So the
long modules tell how fast the machine is. A module that is not named has a limit rather than a measurement, and tells nothing.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

BUDGETS: dict[str, float] = yaml.safe_load((Path(__file__).parent / "budgets.yaml").read_text(encoding="utf-8"))
DEFAULT_SECONDS = 20.0  # of a module that the file does not name
LEAST_SECONDS = 60.0  # below which no module is too slow: the first one of a worker starts Spark
SLOWEST = 10


def module_of(nodeid: str) -> str:
    """The module of a test, by its path from the project's root."""
    return nodeid.partition("::")[0]


def budget(module: str) -> float:
    """Seconds that a module may take, by its path from the project's root."""
    return BUDGETS.get(module, DEFAULT_SECONDS)


def too_slow(seconds: dict[str, float]) -> dict[str, float]:
    """Of modules and the seconds that each took, those beyond their bounds, with the bound of each."""
    bounds = {module: max(2 * budget(module) * _stretch(seconds, module), LEAST_SECONDS) for module in seconds}
    return {module: bounds[module] for module, taken in seconds.items() if taken > bounds[module]}


def _stretch(seconds: dict[str, float], module: str) -> float:
    """How much slower this machine is than an idle one, by the named modules other than this one; at least 1."""
    others = [other for other in seconds if other in BUDGETS and other != module]
    budgets = sum(BUDGETS[other] for other in others)
    return max(1.0, sum(seconds[other] for other in others) / budgets) if others else 1.0


class BudgetGuard:
    """A plugin that adds up what each module's tests take, set-up and clean-up included."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test."""
        self._seconds[module_of(report.nodeid)] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the slowest modules, and those that are too slow."""
        slowest = sorted(self._seconds.items(), key=lambda item: -item[1])[:SLOWEST]
        terminalreporter.section("slowest modules")
        for module, spent in slowest:
            terminalreporter.write_line(f"{spent:6.0f} s of {budget(module):4.0f}  {module}")
        for module, bound in too_slow(self._seconds).items():
            terminalreporter.write_line(
                f"TOO SLOW: {module} took {self._seconds[module]:.0f} s, more than {bound:.0f} (twice its budget in "
                f"tests/budgets.yaml, on a machine as fast as this one was). Make its tests cheaper, or raise its budget.",
                red=True,
            )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the suite for a module that is too slow."""
        if too_slow(self._seconds) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
