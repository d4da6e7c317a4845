"""The jobs by name: their steps, and what each prints at its end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module

from pipelines.lean import uncollected
from pipelines.runtime.command_line import PARSERS


def run(name: str, argv: Sequence[str]) -> int:
    """Run a job and return its exit code. The modules of each are imported where it runs: some take a second."""
    with uncollected():
        module = import_module(f"pipelines.steps.{name}")
    if name in PARSERS:
        code: int = module.run(argv)
        return code
    from pipelines.runtime.application import run_application
    from pipelines.steps.summary import print_job, print_summary

    if name == "pipeline":
        return run_application(name, module.STEPS, argv, print_summary)
    return run_application(name, [module.STEP], argv, partial(print_job, name))
