"""How files are shared out to the workers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.scheduler import ON_CLEAN_TABLES, ByFile, order

JOBS, KILL, SOUP, AUDIT = (
    f"tests/{module}.py"
    for module in ("jobs/test_jobs", "jobs/test_kill", "pipelines/cleaning/test_soup", "pipelines/io/test_audit")
)
TESTS = [f"{module}::test_{number}" for module in (JOBS, KILL, SOUP, AUDIT) for number in (1, 2, 3, 4)]


class Worker:
    """One of xdist's, which keeps what it was sent."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[str] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += [TESTS[index] for index in indices]

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(test.partition("::")[0] for test in self.sent))


@pytest.fixture
def workers(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> tuple[ByFile, Worker, Worker]:
    """Two of them, which have found the same tests."""
    monkeypatch.setattr("xdist.scheduler.loadscope.parse_tx_spec_config", lambda _: [1, 2])
    pytestconfig.option.loadscopereorder = False
    scheduler, one, other = ByFile(pytestconfig), Worker("one"), Worker("other")
    for worker in (one, other):
        scheduler.add_node(worker)
    for worker in (one, other):
        scheduler.add_node_collection(worker, TESTS)
    assert scheduler.collection_is_completed
    scheduler.schedule()
    return scheduler, one, other


def complete(scheduler: ByFile, worker: Worker, count: int) -> None:
    """Report the next of the tests that a worker was sent as done."""
    done = sum(sum(tests.values()) for tests in scheduler.assigned_work[worker].values())
    for place in range(done, done + count):
        scheduler.mark_test_complete(worker, TESTS.index(worker.sent[place]))


def test_one_starts_applications_while_the_other_uses_the_session(workers: tuple[ByFile, Worker, Worker]) -> None:
    scheduler, one, other = workers
    assert (one.files, other.files) == ([JOBS], [SOUP])
    complete(scheduler, other, 3)
    assert other.files == [SOUP, AUDIT]
    complete(scheduler, one, 3)
    assert one.files == [JOBS, KILL]


def test_who_has_none_left_of_one_kind_takes_the_other(workers: tuple[ByFile, Worker, Worker]) -> None:
    scheduler, one, other = workers
    complete(scheduler, one, 8)
    assert one.files == [JOBS, KILL, AUDIT]
    complete(scheduler, other, 4)
    assert (other.files, other.shutting_down) == ([SOUP], True)


def test_longer_files_come_first_and_before_them_those_on_the_same_clean_tables() -> None:
    assert sorted([AUDIT, SOUP, KILL, JOBS], key=order) == [JOBS, KILL, AUDIT, SOUP]
    assert "tests/pipelines/steps/test_features.py" in ON_CLEAN_TABLES
    assert order("tests/pipelines/steps/test_features.py::test_any") < order(f"{JOBS}::test_any")
