"""A step that stages a row, says so, and then has Spark wait: what the tests of signals start and interrupt.

spark-submit tests/jobs/interruptible.py --config conf/flights.yaml
"""

import sys
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa

from pipelines.runtime.application import run_application
from pipelines.runtime.context import Context
from pipelines.runtime.step import Outcome, Step
from schemas.tables import BROKEN_RULES

AT_WORK = "at work"


def wait(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows as they are, after ten minutes."""
    time.sleep(600)
    yield from batches


def work(context: Context) -> Outcome:
    """Never ends by itself."""
    start, end = context.bounds
    row = {"source": "flights", "rule": "r", "severity": "warn", "rows": 1, "example": ""}
    with context.audit("interruptible") as audit:
        names = BROKEN_RULES.column_names
        full = {"run_id": context.run_id, "interval_from": start, "interval_to": end, **row}
        audit.write_rows(BROKEN_RULES, [{name: full.get(name) for name in names}], context.whose_interval)
        print(AT_WORK, flush=True)
        # Spark's tasks are cancelled; a thread that waits for a source can't be, and must not hold the end up.
        context.at_once(lambda: context.spark.range(2).mapInArrow(wait, "id long").collect(), lambda: time.sleep(600))
        return Outcome(outputs=audit.publish())


if __name__ == "__main__":
    sys.exit(run_application("interruptible", [Step("interruptible", (), lambda _: {}, work)], sys.argv[1:]))
