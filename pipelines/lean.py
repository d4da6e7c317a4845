"""TensorFlow and Keras, imported without what Keras imports beside them wherever it is installed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNNEEDED = ("sklearn", "matplotlib", "pandas", "scipy", "setuptools")


def import_keras() -> None:
    """Import both in some half of the time.

    Keras wants scikit-learn for its wrappers of it, Matplotlib for plots and pandas for data frames; the older Keras within
    TensorFlow wants SciPy for sparse matrices; and setuptools puts itself in the place of distutils. All do without where they
    are not found. They are hidden meanwhile, from other threads too, and can be imported afterwards as ever.
    """
    if "keras" in sys.modules:
        return
    with hidden(*UNNEEDED), uncollected():
        import keras  # noqa: F401


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Has packages that are not imported yet raise ImportError, as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # None: there is no such module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps the collector from looking through what is being imported, then and later: all of it stays. It took a fifth of the
    time of the import, and as much again of what came next.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
