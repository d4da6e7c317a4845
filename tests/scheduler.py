"""How pytest-xdist shares out the suite: file by file, and no two workers at tests of the same kind if it can be helped.

A test of applications starts Java, ranks or servers and keeps more than one core busy. A test in the session waits for Java
while Java works, and Java waits for it, so it keeps less than one busy. Two of the first kind side by side compete, two of the
second kind leave cores idle; one of each uses two cores best.
"""

from __future__ import annotations

import re
from collections import Counter

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.budgets import budget, module_of
from tests.root import ROOT

APPLICATIONS = re.compile("tests/(jobs|setup|dags|docs|pipelines/launch)/")
# Files whose tests start from the same clean tables, which their worker makes once.
_CLEANED = re.compile(r"cleaned(_departures)?: Run")
ON_CLEAN_TABLES = {
    str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py") if _CLEANED.search(path.read_text("utf-8"))
}
_ON_CLEAN_TABLES = "on clean tables"


def order(nodeid: str) -> tuple[bool, float]:
    """What tests are sorted by: the longest files first, so that no worker is left with one of them at the end; before them
    those that stay together.
    """
    module = module_of(nodeid)
    return module not in ON_CLEAN_TABLES, -budget(module)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file stays together, with what its fixtures start; a worker gets the next one of the kind that the fewest others do."""

    def _split_scope(self, nodeid: str) -> str:
        module = module_of(nodeid)
        return _ON_CLEAN_TABLES if module in ON_CLEAN_TABLES else module

    def _assign_work_unit(self, node: WorkerController) -> None:
        others = [scopes for other, scopes in self.assigned_work.items() if other is not node]
        kinds = Counter(_kind(scope) for scopes in others for scope, tests in scopes.items() if not all(tests.values()))
        # Of equals it is the first, which is the longest.
        self.workqueue.move_to_end(min(self.workqueue, key=lambda scope: kinds[_kind(scope)]), last=False)
        super()._assign_work_unit(node)


def _kind(scope: str) -> bool:
    """Whether a file's tests start applications."""
    return bool(APPLICATIONS.match(scope))
