"""Java's options where it works for a minute or two: to optimize what it compiles costs more than it gains."""

from pathlib import Path

QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
# Young objects have room enough that the collector runs once where it would run five times.
_HEAP = "-XX:+UseSerialGC -Xms1g -Xmn640m"
SESSION = f"-Duser.timezone=UTC {_HEAP} {QUICK_COMPILER} -XX:MetaspaceSize=256m -XX:ReservedCodeCacheSize=240m"
# The archive of Spark's classes that `make setup` writes, and the class path that goes with it: a driver has them by
# conf/spark, and an executor or a server that a test starts may map them as well.
CLASSES = Path(__file__).resolve().parent.parent / ".venv" / "jars" / "java-options"
BRIEF_JAVA = f"{QUICK_COMPILER} @{CLASSES}" if CLASSES.exists() else QUICK_COMPILER
BRIEF_APPLICATION = {"spark.driver.defaultJavaOptions": QUICK_COMPILER, "spark.executor.defaultJavaOptions": BRIEF_JAVA}
