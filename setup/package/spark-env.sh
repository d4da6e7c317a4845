# shellcheck shell=bash
# On a cluster's hosts: letters beyond ASCII, and one folder for a run's temporary files. A cluster of your own has its own
# SPARK_CONF_DIR, and then this file is not used.
# shellcheck source=../../conf/spark/locale.sh
. "$(dirname "${BASH_SOURCE[0]}")/locale.sh"
# shellcheck source=../../conf/spark/run-folder.sh
. "$(dirname "${BASH_SOURCE[0]}")/run-folder.sh"
