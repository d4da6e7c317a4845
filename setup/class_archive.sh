#!/usr/bin/env bash
# Write .venv/jars/classes.jsa, an archive of the classes that a job loads: Java maps it instead of reading, checking and linking
# them anew at every start. A small run of ingest, clean and features says which classes these are.
# https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
set -euo pipefail
cd "$(dirname "$0")/.."
. setup/env.sh
folder=.venv/jars
log=$folder/class_archive.log
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Java takes an archive only for the class path that it was written with, and for no folder of files in it.
# The last class that Hadoop finds for local files is the one that it takes: ringmill's.
jars=("$PWD/$folder"/*.jar "$(dirname "$(.venv/bin/python -c 'import pyspark; print(pyspark.__file__)')")"/jars/*.jar)
jars+=("$PWD/$folder"/ringmill/*.jar)
path=$(IFS=:; echo "${jars[*]}")
# Options of this run alone: a script that is killed leaves nothing by which other runs would write an archive as they end.
export RINGMILL_JAVA_OPTIONS=$work/java-options
echo "-cp \"$path\" -XX:ArchiveClassesAtExit=\"$work/new.jsa\" -Xlog:cds=off" >"$RINGMILL_JAVA_OPTIONS"
echo "ringmill: writing an archive of Spark's classes (a minute, once)"
if ! spark-submit setup/class_archive.py "$work" >"$log" 2>&1 || [ ! -f "$work/new.jsa" ]; then
  rm -f "$folder/java-options" "$folder/classes.jsa"
  echo "ringmill: no archive of classes was written, so jobs start some seconds later; the log is $log" >&2
  exit 0
fi
mv "$work/new.jsa" "$folder/new.jsa" # perhaps from another file system, so that it takes the place of the former at once
mv -f "$folder/new.jsa" "$folder/classes.jsa"
# Where it does not fit (another Java, a changed jar) Java goes on without, and need not say so.
echo "-cp \"$path\" -XX:SharedArchiveFile=\"$PWD/$folder/classes.jsa\" -Xlog:cds=off -Xlog:cds+dynamic=off" >"$folder/java-options"
