# shellcheck shell=bash
# Gives a run one folder for all that Java, Python and ranks write to their folders for temporary files, and has it removed when
# Java ends, however it ends. Java inherits the folder's lock, which the kernel releases when Java is gone. A process of its own
# session waits for that; where it was killed too, the next run removes the folder.
ringmill_folders=${TMPDIR:-/tmp}/ringmill-run

# MPICH's proxies describe the processors to their ranks in a file of /tmp, whatever TMPDIR says, and leave it when they are
# killed. Ranks read it as they start, and never again.
ringmill_sweep='find /tmp -maxdepth 1 -name "hydra_hwloc_xmlfile_*" -user "$(id -u)" ! -newermt "-5 seconds" -delete 2>/dev/null'
# What still ends while Java is gone already (workers, ranks) may write until then: hence more than one try.
ringmill_remove="for try in {1..20}; do rm -rf \"\$1\"; sleep 0.5; [ -e \"\$1\" ] || break; done; sleep 5; $ringmill_sweep"

ringmill_wait='for fd in /proc/$$/fd/*; do ((${fd##*/} > 2)) && eval "exec ${fd##*/}>&-"; done
echo; exec flock "$1/.lock" bash -c "$2" bash "$1" >/dev/null'

remove_leftovers_of_dead_runs() {
  local folder
  for folder in "$ringmill_folders"-*; do
    # Whoever gets the lock of a folder knows that its run is dead.
    [ -O "$folder" ] && [ -f "$folder/.lock" ] && flock -n "$folder/.lock" rm -rf "$folder"
  done
  # Those of other programs, such as the service: the lock is on the folder itself (pipelines/temporary.py).
  for folder in "${TMPDIR:-/tmp}"/ringmill-tmp-*; do
    [ -O "$folder" ] && flock -n "$folder" rm -rf "$folder"
  done
  find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'ringmill-new-*' -user "$(id -u)" -mmin +60 -exec rm -rf {} + 2>/dev/null
  eval "$ringmill_sweep"
}

make_run_folder() {
  local made folder
  made=$(mktemp -d "${TMPDIR:-/tmp}/ringmill-new-XXXXXXXX" 2>/dev/null) || return 1
  exec {ringmill_lock}>"$made/.lock" && flock -n "$ringmill_lock" || return 1
  # Under this name others look for it, locked by now.
  folder="$ringmill_folders-$HOSTNAME-$$-${made##*-}"
  mv "$made" "$folder" || return 1
  # A process of its own session, whose parent is gone: whoever kills a run, its group or all its children, leaves it alone. It
  # writes a line once it is there; to go on before would leave a moment in which it could be killed too.
  # It closes what it inherited, and first of all the lock: whoever reads a run's output by a pipe sees the end with the run.
  read -r < <(setsid bash -c "$ringmill_wait" bash "$folder" "$ringmill_remove" </dev/null 2>/dev/null &)
  TMPDIR=$folder
  # Keras and Matplotlib would make folders in a home that has none of theirs.
  [ -e "${HOME:-}/.keras" ] || KERAS_HOME=${KERAS_HOME:-$folder/keras}
  [ -e "${HOME:-}/.config/matplotlib" ] || MPLCONFIGDIR=${MPLCONFIGDIR:-$folder/matplotlib}
  SPARK_SUBMIT_OPTS="\"-Djava.io.tmpdir=$folder\" -XX:-UsePerfData ${SPARK_SUBMIT_OPTS:-}"
  # Java that only writes down the command by which Java starts: it has no time to optimize, and little to collect.
  SPARK_LAUNCHER_OPTS="-XX:-UsePerfData ${SPARK_LAUNCHER_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
}

if [[ "${1:-}" == *SparkSubmit ]] && command -v flock setsid >/dev/null; then
  remove_leftovers_of_dead_runs
  make_run_folder || true
fi
unset -f remove_leftovers_of_dead_runs make_run_folder
unset ringmill_folders ringmill_remove ringmill_sweep ringmill_wait
