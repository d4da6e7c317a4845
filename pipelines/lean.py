"""What imports cost: Keras without what it imports wherever that is installed, Spark's tasks without reading archives anew."""

from __future__ import annotations

import sys
from zipimport import zipimporter

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


def forget_archives() -> None:
    """Have the next Python task of this process start at once: a task calls this as it begins.

    Spark has Python look again, before every task, for modules that may have come. For an archive Python then reads the list of
    what is in it anew, for each package that was imported from there; pyspark is one, and each jar of `spark.jars.packages`:
    together a quarter of a second of processor a task. What is forgotten is looked up again where it is needed.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]
