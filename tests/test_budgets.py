"""What the guard of the suite's time lets pass, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import budgets
from tests.root import ROOT


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "BUDGETS", {"a.py": 100.0, "b.py": 300.0})


def test_a_module_may_take_up_to_twice_its_budget() -> None:
    assert budgets.too_slow({"a.py": 199, "b.py": 100}) == {}
    assert budgets.too_slow({"a.py": 201, "b.py": 100}) == {"a.py": 200}


def test_a_slow_machine_stretches_every_bound() -> None:
    # The other module takes 2.5 times its budget, so the bound of a.py is 500.
    assert budgets.too_slow({"a.py": 490, "b.py": 750}) == {}
    assert budgets.too_slow({"a.py": 510, "b.py": 750}) == {"a.py": 500}


def test_modules_without_a_budget_do_not_hide_a_slow_machine() -> None:
    # Hundreds of them take a second each, far below the 20 that each may take.
    quick = {f"quick_{number}.py": 1.0 for number in range(300)}
    assert budgets.too_slow({**quick, "a.py": 210, "b.py": 630}) == {}
    assert budgets.too_slow({**quick, "a.py": 210, "b.py": 300}) == {"a.py": 200}


def test_one_slow_module_of_many_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "BUDGETS", {"a.py": 100.0, "b.py": 100.0, "c.py": 100.0})
    assert budgets.too_slow({"a.py": 150, "b.py": 140, "c.py": 310}) == {"c.py": pytest.approx(290)}


def test_short_modules_do_not_hide_a_machine_that_is_slow_for_the_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {f"short_{number}.py": 40.0 for number in range(30)}
    monkeypatch.setattr(budgets, "BUDGETS", {"a.py": 400.0, "b.py": 2500.0, **short})
    # The long ones took 1.6 times their budgets, the short ones four fifths: together (4000 + 960) / (2500 + 1200) = 1.34.
    taken = {"b.py": 4000.0, **dict.fromkeys(short, 32.0)}
    assert budgets.too_slow({"a.py": 1060, **taken}) == {}
    assert budgets.too_slow({"a.py": 1080, **taken}) == {"a.py": pytest.approx(1072.4, abs=0.1)}


def test_a_module_of_a_minute_is_never_too_slow() -> None:
    assert budgets.too_slow({"unknown.py": 59, "b.py": 200}) == {}
    assert budgets.too_slow({"unknown.py": 61, "b.py": 200}) == {"unknown.py": 60}


def test_every_budget_is_of_a_module_that_exists() -> None:
    declared = yaml.safe_load((ROOT / "tests" / "budgets.yaml").read_text())
    assert [module for module in declared if not (ROOT / module).is_file()] == []


def test_a_module_beyond_its_budget_fails_the_suite_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_late.py").write_text("import time\ndef test_it(): time.sleep(0.2)\n")
    (tmp_path / "test_early.py").write_text("def test_it(): pass\n")
    (tmp_path / "conftest.py").write_text(
        "from tests import budgets\nbudgets.LEAST_SECONDS = 0.1\nbudgets.BUDGETS = {'test_late.py': 0.01, 'test_early.py': 9}\n"
        "def pytest_configure(config): config.pluginmanager.register(budgets.BudgetGuard())\n"
    )
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *plain, str(tmp_path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert completed.returncode == 1, completed.stdout
    assert "TOO SLOW: " in completed.stdout
    assert "test_late.py took 0 s" in completed.stdout
