"""Starts ranks on executors: the one place where Spark meets Horovod."""
