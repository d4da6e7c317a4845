"""TensorFlow and Keras, imported without what Keras imports beside them wherever it is installed."""

from __future__ import annotations

import sys

UNNEEDED = ("sklearn", "matplotlib", "pandas")


def import_keras() -> None:
    """Import both in some half of the time.

    Keras wants scikit-learn for its wrappers of it, Matplotlib for plots and pandas for data frames, and does without where
    they are not found. They are hidden meanwhile, and can be imported afterwards as ever.
    """
    hidden = [name for name in UNNEEDED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: there is no such module
    try:
        import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
