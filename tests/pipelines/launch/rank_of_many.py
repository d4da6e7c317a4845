"""One rank that trains several jobs in turn, instead of `pipelines.training.rank`: its job is a list of them.

It exports nothing: their weights are what is compared.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pipelines.messages import Done
from pipelines.training.reporter import Reporter
from tests.pipelines.training.rank_without_export import import_without_export


def main() -> int:
    """Train them all between ranks that come together once."""
    rank = int(os.environ["RINGMILL_RANK"])
    with Reporter(os.environ["RINGMILL_CHANNEL"], os.environ.pop("RINGMILL_KEY"), rank) as reporter:
        import_without_export()
        import horovod.tensorflow as hvd

        from pipelines.training.job import TrainingJob
        from pipelines.training.run import train

        hvd.init()
        for job in json.loads(Path(os.environ["RINGMILL_JOB"]).read_text(encoding="utf-8")):
            train(TrainingJob.model_validate(job), reporter)
        reporter.send(Done())
        hvd.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
