# shellcheck shell=bash
# The embedded cluster talks to itself alone. A cluster has a folder of its own: SPARK_CONF_DIR=/etc/spark make run.
SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
# shellcheck source=locale.sh
. "$(dirname "${BASH_SOURCE[0]}")/locale.sh"
