"""Java's options where it works for a minute or two: to optimize what it compiles costs more than it gains."""

QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
BRIEF_APPLICATION = dict.fromkeys(("spark.driver.defaultJavaOptions", "spark.executor.defaultJavaOptions"), QUICK_COMPILER)
SESSION = f"-Duser.timezone=UTC -XX:+UseSerialGC {QUICK_COMPILER} -XX:MetaspaceSize=256m -XX:ReservedCodeCacheSize=240m"
