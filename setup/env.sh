# shellcheck shell=bash
# Source this to use the project's own Spark: `. setup/env.sh`, then `spark-submit jobs/pipeline.py --config conf/flights.yaml`.
# A SPARK_HOME left over from another Spark must not win over the pinned pyspark.
RINGMILL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export RINGMILL_ROOT
export PATH="$RINGMILL_ROOT/.venv/bin:$PATH"
export PYSPARK_PYTHON="$RINGMILL_ROOT/.venv/bin/python"
export PYSPARK_DRIVER_PYTHON="$PYSPARK_PYTHON"
export SPARK_CONF_DIR="${SPARK_CONF_DIR:-$RINGMILL_ROOT/conf/spark}"
export PYTHONPATH="$RINGMILL_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"
unset SPARK_HOME
# Container images set it. Jobs, Python workers and ranks import the same modules: without compiled files each compiles them anew.
unset PYTHONDONTWRITEBYTECODE
# shellcheck source=../conf/spark/locale.sh
. "$RINGMILL_ROOT/conf/spark/locale.sh"
