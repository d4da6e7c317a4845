#!/usr/bin/env bash
# Fetch the pinned jars of conf/spark/spark-defaults.conf into Ivy's folder, and see that Spark starts with them.
set -euo pipefail
cd "$(dirname "$0")/.."
. setup/env.sh
log=.venv/jars.log
echo "ringmill: resolving the jars of Iceberg and of the databases"
if ! spark-sql --master 'local[1]' --conf spark.sql.catalogImplementation=in-memory -e 'select 1' >"$log" 2>&1; then
  grep -iE 'unresolved|not found|exception|error' "$log" | head -n 5 >&2 || true
  echo "ringmill: Spark did not start with its jars; the whole log is $log. Is Maven Central, or a mirror of it, in reach?" >&2
  exit 5
fi
