#!/usr/bin/env bash
# Copy the jars of setup/jars.txt, which Ivy fetches once, to .venv/jars, and the jar of setup/java to .venv/jars/ringmill.
# conf/spark/spark-env.sh puts them on Java's class path.
set -euo pipefail
cd "$(dirname "$0")/.."
. setup/env.sh
log=.venv/jars.log
rm -rf .venv/jars.new
echo "ringmill: fetching the jars of Iceberg and of the databases"
if ! spark-submit --master 'local[1]' --packages "$(paste -sd, setup/jars.txt)" setup/copy_jars.py .venv/jars.new >"$log" 2>&1; then
  grep -iE 'unresolved|not found|exception|error' "$log" | head -n 5 >&2 || true
  echo "ringmill: Spark did not start with its jars; the whole log is $log. Is Maven Central, or a mirror of it, in reach?" >&2
  exit 5
fi
mkdir .venv/jars.new/ringmill
python setup/own_jar.py .venv/jars.new/ringmill/local-files.jar
rm -rf .venv/jars
mv .venv/jars.new .venv/jars
