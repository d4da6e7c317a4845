"""ringmill: Spark to Parquet to Horovod on Spark."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ringmill")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
