# shellcheck shell=bash
# The embedded cluster talks to itself alone. A cluster has a folder of its own: SPARK_CONF_DIR=/etc/spark make run.
SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
# shellcheck source=locale.sh
. "$(dirname "${BASH_SOURCE[0]}")/locale.sh"

# A job's help needs no Java.
ringmill_is_help() {
  [[ " $* " =~ \ ([^ ]*jobs/[a-z_]+\.py)\ (.*\ )?(--help|-h)\  ]]
}
if [ -n "${RINGMILL_ROOT:-}" ] && ringmill_is_help "$@"; then
  exec "$RINGMILL_ROOT/.venv/bin/python" "${BASH_REMATCH[1]}" --help
fi
unset -f ringmill_is_help

# `make setup` keeps ringmill's jars beside the environment, and an archive of Spark's classes for exactly their class path
# (setup/class_archive.sh), which halves the time that a job takes to start. Whoever adds to the class path does without it.
adds_to_class_path() {
  local files=("$SPARK_CONF_DIR/spark-defaults.conf")
  [[ "$*" =~ --properties-file[=\ ]([^ ]+) ]] && files+=("${BASH_REMATCH[1]}")
  [[ -n "${HADOOP_CONF_DIR:-}${YARN_CONF_DIR:-}${SPARK_DIST_CLASSPATH:-}" ]] && return 0
  [[ "$*" == *--driver-class-path* || "$*" == *driver.extraClassPath* ]] && return 0
  compgen -G "$SPARK_CONF_DIR/*-site.xml" >/dev/null && return 0
  grep -qs '^[[:space:]]*spark\.driver\.extraClassPath' "${files[@]}"
}

# Over little data Java's optimizing compiler costs more processor time than it gains: by the size of a job's sources the quick
# one works alone. It compiles a loop over rows after 4,096 of them; by default 60,000 would be interpreted, in each stage anew.
# The heap begins at a size that it would grow to, which halves the collector's time.
has_small_sources() {
  [[ "$*" =~ jobs/[a-z_]+\.py\ .*--config[=\ ]([^ ]+) ]] || return 1
  "$RINGMILL_ROOT/.venv/bin/python" "$RINGMILL_ROOT/setup/small_work.py" "${BASH_REMATCH[1]}"
}

ringmill_jars=${RINGMILL_ROOT:-}/.venv/jars
ringmill_java_options=${RINGMILL_JAVA_OPTIONS:-$ringmill_jars/java-options}
if [ -d "$ringmill_jars" ]; then
  if [ -f "$ringmill_java_options" ] && ! adds_to_class_path "$@"; then
    SPARK_SUBMIT_OPTS="\"@$ringmill_java_options\" \"-Dlog4j2.configurationFile=$SPARK_CONF_DIR/log4j2.properties\" ${SPARK_SUBMIT_OPTS:-}"
  fi
  if has_small_sources "$@"; then
    SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:-} -XX:TieredStopAtLevel=1 -XX:Tier3BackEdgeThreshold=4096 -XX:InitialRAMPercentage=6"
  fi
  SPARK_DIST_CLASSPATH="$ringmill_jars/*:$ringmill_jars/ringmill/*${SPARK_DIST_CLASSPATH:+:$SPARK_DIST_CLASSPATH}"
fi

# shellcheck source=run-folder.sh
. "$(dirname "${BASH_SOURCE[0]}")/run-folder.sh"
