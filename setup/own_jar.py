"""Compile setup/java and write it as a jar: `python setup/own_jar.py FILE`.

The compiler is Janino, which Spark has for its queries: a machine that runs Java need not have Java's own.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyspark

from setup.machine_checks import java_program

SOURCES = Path(__file__).resolve().parent / "java"
SERVICES = {"META-INF/services/org.apache.hadoop.fs.FileSystem": "ringmill.LocalFiles\n"}
COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"
NEEDED = ("hadoop-client-api-*.jar", "slf4j-api-*.jar")


def main(jar: Path) -> None:
    """Write the jar. Raises CalledProcessError when the sources do not compile."""
    spark = Path(pyspark.__file__).parent / "jars"
    path = ":".join(str(each) for pattern in NEEDED for each in spark.glob(pattern))
    with tempfile.TemporaryDirectory(prefix="ringmill-classes-") as folder:
        command = [java_program(), "-XX:-UsePerfData", "-cp", f"{spark}/*", COMPILER, "-d", folder, "-classpath", path]
        subprocess.run([*command, *map(str, sorted(SOURCES.rglob("*.java")))], check=True)
        with zipfile.ZipFile(jar, "w") as archive:
            for file in sorted(Path(folder).rglob("*.class")):
                archive.write(file, file.relative_to(folder).as_posix())
            for name, content in SERVICES.items():
                archive.writestr(name, content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
