#!/usr/bin/env bash
# Run a job of ringmill by spark-submit, with what lies beside this script. Hosts need Java 17 or 21 and util-linux, no Python.
#   ./submit.sh JOB [spark-submit's options] -- [the job's options]
#   ./submit.sh train --master spark://head:7077 -- --config conf/flights.yaml
#   ./submit.sh --unpack FOLDER
# By default executors fetch the environment from the driver, and unpack it once an application and host. With
# RINGMILL_UNPACKED=FOLDER the folder is used as it is, on every host; --unpack writes it. SPARK_HOME and SPARK_CONF_DIR may name
# a Spark of your own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  echo "submit.sh: $1" >&2
  exit 2
}

check_host() {
  local wanted present
  wanted=$(sed -n 's/.*"glibc": "\([0-9.]*\)".*/\1/p' "$here/manifest.json")
  present=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$wanted" "$present" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "submit.sh: this host's C library (glibc) is $present, the package needs $wanted or later. Use a newer system here, or" \
      "build the package on an older one." >&2
    exit 5
  fi
  if ! grep -qw avx /proc/cpuinfo; then
    echo "submit.sh: this host's processor has no AVX, which TensorFlow needs. Use another host." >&2
    exit 5
  fi
}

unpack() {
  local folder=$1
  check_host
  mkdir -p "$folder"
  exec 9>"$folder/.lock"
  flock 9
  if ! cmp -s "$here/SHA256SUMS" "$folder/SHA256SUMS"; then
    rm -rf "$folder"/{environment,spark,application,jars,SHA256SUMS}
    mkdir "$folder"/{environment,spark,application}
    tar -xzf "$here/environment.tar.gzip" -C "$folder/environment"
    tar -xf "$here/spark.tar" -C "$folder/spark"
    "$folder/environment/bin/python" -m zipfile -e "$here/ringmill.zip" "$folder/application"
    "$folder/environment/bin/python" -m compileall -q "$folder/application"
    cp -r "$here/jars" "$folder/jars"
    cp "$here/SHA256SUMS" "$folder/SHA256SUMS" # last: the folder is whole
  fi
  exec 9>&-
}

[ $# -ge 1 ] || usage "no job is named"
if [ "$1" = --unpack ]; then
  [ $# -eq 2 ] || usage "--unpack takes a folder"
  unpack "$2"
  exit
fi
job=$1
shift
options=()
declare -A lists=([files]="" [archives]="" [jars]="") # spark-submit takes the last of each: the caller's are added to these
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case "$1" in
    --files | --archives | --jars)
      [ $# -gt 1 ] && [ "$2" != -- ] || usage "$1 takes a list"
      lists[${1#--}]=$2
      shift
      ;;
    --files=* | --archives=* | --jars=*)
      name=${1%%=*}
      lists[${name#--}]=${1#*=}
      ;;
    *) options+=("$1") ;;
  esac
  shift
done
[ $# -gt 0 ] || usage "no -- between spark-submit's options and the job's"
shift

export PYTHONNOUSERSITE=1
if [ -n "${RINGMILL_UNPACKED:-}" ]; then
  folder=$RINGMILL_UNPACKED
  [ -d "$folder/application" ] || usage "RINGMILL_UNPACKED: no $folder/application; run $0 --unpack $folder on every host"
  export PYSPARK_PYTHON=$folder/environment/bin/python
  python_path=$folder/application
  shipped=(--conf "spark.driver.extraClassPath=$folder/jars/*" --conf "spark.executor.extraClassPath=$folder/jars/*")
else
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/ringmill/package-$(sha256sum "$here/SHA256SUMS" | cut -c1-16)
  unpack "$folder"
  export PYSPARK_PYTHON=./executor-python.sh
  python_path=application
  jars=("$here"/jars/*.jar)
  shipped=()
  # As an archive, and so by a name that ends in .tar.gz, Spark would unpack it for the driver, too, and before any task.
  lists[files]="$here/environment.tar.gzip,$here/executor-python.sh,${lists[files]}"
  lists[archives]="$here/ringmill.zip#application,${lists[archives]}"
  lists[jars]="$(IFS=,; echo "${jars[*]}"),${lists[jars]}"
fi
for name in files archives jars; do
  [ -z "${lists[$name]}" ] || shipped+=("--$name" "${lists[$name]%,}")
done
[ -f "$folder/application/jobs/$job.py" ] || usage "no job $job; expected one of $(cd "$folder/application/jobs" && echo [a-z]*.py)"

export PYSPARK_DRIVER_PYTHON=$folder/environment/bin/python
export PYTHONPATH=$folder/application
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
export SPARK_HOME=${SPARK_HOME:-$folder/spark}
export SPARK_CONF_DIR=${SPARK_CONF_DIR:-$here/conf/spark}
exec "$SPARK_HOME/bin/spark-submit" \
  --properties-file "$here/conf/spark/spark-defaults.conf" --load-spark-defaults \
  --conf "spark.executorEnv.PYSPARK_PYTHON=$PYSPARK_PYTHON" \
  --conf "spark.executorEnv.PYTHONPATH=$python_path" \
  --conf "spark.executorEnv.PYTHONNOUSERSITE=1" \
  --conf "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL=$TF_CPP_MIN_LOG_LEVEL" \
  "${shipped[@]}" "${options[@]}" "$folder/application/jobs/$job.py" "$@"
