#!/usr/bin/env bash
# Check for what no wheel brings: Python 3.11, Java 17 or 21, a C++ compiler, setpriv. On Debian or Ubuntu, as root, a missing
# Java or compiler is installed after saying so; elsewhere one line names what is missing. So it is with MariaDB's programs and
# Chromium, which tests alone need, and wrk, which a benchmark needs: without them set-up goes on, and those tests are skipped.
# Usage: [PYTHON=...] setup/system.sh
set -euo pipefail
python=${PYTHON:-python3.11}

die() {
  echo "ringmill: $*" >&2
  exit 5
}

java_version() {
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  "$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1 || true
}

good_java() {
  case "$(java_version)" in 17 | 21) return 0 ;; *) return 1 ;; esac
}

can_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

try_install() {
  echo "ringmill: no $1 found; installing the Debian package ${*:2} (as root, with apt-get)"
  apt-get update -qq >/dev/null || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >/dev/null
}

install() {
  try_install "$1" "$2" || die "apt-get could not install $2. Install $1 yourself and run this again."
}

# optional NAME CONSEQUENCE PACKAGE...: what tests or a benchmark alone need; without it set-up goes on.
optional() {
  can_install && try_install "$1" "${@:3}" || echo "ringmill: no $1 found, $2"
}

# Debian has the server in a folder that only root's PATH names. These packages have the programs alone: no service is started.
has_mariadb() {
  local PATH="$PATH:${MARIADB_PATH-/usr/sbin:/usr/bin}"
  command -v mariadbd >/dev/null && command -v mariadb >/dev/null
}

command -v "$python" >/dev/null || die "no $python found. Install Python 3.11 (Debian 12: python3.11 and python3.11-venv), or name another with PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
  die "$python is $("$python" --version 2>&1); expected Python 3.11. Name another with PYTHON=..."
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  can_install || die "$python has no venv module. Install python3.11-venv."
  install "venv module" python3.11-venv
fi
if ! good_java; then
  found=$(java_version)
  can_install || die "Java 17 or 21 is needed, found ${found:-none}. Install openjdk-17-jre-headless, or set JAVA_HOME."
  if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
    install "Java 17 or 21" openjdk-17-jre-headless
  else
    install "Java 17 or 21" openjdk-21-jre-headless
  fi
  good_java || die "Java is $(java_version) even so; set JAVA_HOME to a Java 17 or 21."
fi
if ! command -v g++ >/dev/null; then
  can_install || die "a C++ compiler is needed to build Horovod, found none. Install g++."
  install "C++ compiler" g++
fi
command -v setpriv >/dev/null || die "no setpriv found. Install util-linux 2.33 or newer."
has_mariadb || optional "MariaDB server" "so its tests are skipped. They need mariadb-server-core and mariadb-client-core." \
  mariadb-server-core mariadb-client-core
command -v chromium >/dev/null || optional "Chromium" "so tests of pages are skipped. They need chromium." chromium
command -v wrk >/dev/null || optional "wrk" "so make bench-serving can't put load on the service. It needs wrk." wrk
