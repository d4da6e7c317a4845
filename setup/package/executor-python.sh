#!/usr/bin/env bash
# Python of executors: unpacks environment.tar.gzip, which Spark has copied beside this script, and becomes its interpreter.
# An application's executors on one host share what is unpacked, in the folder that a standalone worker (SPARK_EXECUTOR_DIRS)
# or YARN (LOCAL_DIRS) keeps for the application and removes with it. Elsewhere each executor has its own.
set -euo pipefail
folder=${SPARK_EXECUTOR_DIRS:-${LOCAL_DIRS:-$PWD}}
folder=${folder%%[,:]*}
environment=$folder/environment

if [ ! -d "$environment" ]; then
  exec 9>>"$folder/.environment.lock"
  flock 9
  if [ ! -d "$environment" ]; then
    rm -rf "$environment.partial" # of one that was killed
    mkdir "$environment.partial"
    tar -xzf environment.tar.gzip -C "$environment.partial" || {
      echo "executor-python.sh: $PWD/environment.tar.gzip could not be unpacked to $folder: see above. That folder needs 2 GB and" \
        "has $(df -h --output=avail "$folder" | tail -n 1 | tr -d ' '); SPARK_LOCAL_DIRS of the worker names another." >&2
      exit 5
    }
    mv "$environment.partial" "$environment"
  fi
  exec 9>&-
fi
exec "$environment/bin/python" "$@"
