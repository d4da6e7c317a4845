"""Hosts of a cluster that have nothing of ours, on one machine: namespaces of the kernel, as containers use them.

Each host has its own network interface and address, its own processes, and a root folder with this machine's /usr (Java, bash)
and the folders that a test gives it. No interface, route or mount of this machine changes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NETWORK = "10.77.0"
# What Java, the shell and the C library read; /etc/hosts is each host's own.
FROM_ETC = ("alternatives", "ld.so.cache", "passwd", "group", "nsswitch.conf")
DEVICES = ("null", "zero", "random", "urandom")
UNSHARE = ("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child")
MAKE_ROOT = """
set -eu
root=$1
echo "$2" >/proc/sys/kernel/hostname
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/{usr,etc,dev/shm,proc,sys,root,run}
for name in bin sbin lib lib32 lib64; do [ ! -L /$name ] || ln -s usr/$name "$root/$name"; done
for name in DEVICES; do touch "$root/dev/$name"; mount --bind /dev/$name "$root/dev/$name"; done
mount -t proc proc "$root/proc"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
bind() {
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; touch "$root$2"; fi
  mount --rbind "$1" "$root$2"
}
"""


@dataclass(frozen=True)
class Host:
    """One of the hosts: its network namespace, name and address, the script that makes its root folder, and the namespace that
    connects it to the others.
    """

    name: str
    hostname: str
    address: str
    script: str
    root: Path
    hub: str

    def command(self, *program: str, environment: Mapping[str, str], folder: str = "/") -> list[str]:
        """The command that runs a program on the host; killing it kills all that the program started there."""
        variables = [f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", "HOME": "/root", **environment}.items()]
        inside = ["/usr/bin/env", "-i", f"--chdir={folder}", *variables, *program]
        enter = f"{self.script}\nexec chroot {shlex.quote(str(self.root))} {shlex.join(inside)}"
        isolated = [*UNSHARE, "bash", "-c", enter, "bash", str(self.root), self.hostname]
        return ["ip", "netns", "exec", self.name, *isolated]


def missing_permission() -> str | None:
    """Why hosts can't be created here, such as a container without the right to; None where they can."""
    name = f"ringmill-probe-{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace: {getattr(error, 'stderr', None) or error}"
    try:
        run("ip", "-n", name, "link", "add", "probe", "type", "bridge")
        run("ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other")
        run("ip", "netns", "exec", name, "unshare", "--mount", "--pid", "--fork", "chroot", "/", "true")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespace with a bridge and a root folder: {getattr(error, 'stderr', None) or error}"
    finally:
        run("ip", "netns", "del", name)
    return None


@contextmanager
def hosts(names: tuple[str, ...], folder: Path, shared: Mapping[Path, str]) -> Iterator[list[Host]]:
    """Hosts that reach each other alone. `shared` has folders of this machine, and the path of each on every host.

    Temporary files of each are in a folder of its own under `folder`.
    """
    hub = f"ringmill-{os.getpid()}-hub"
    with ExitStack() as stack:
        _add_network(stack, hub)
        run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", hub, "link", "set", "bridge", "up")
        addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, start=1)}
        known = folder / "hosts"  # Spark's processes call each other by name
        known.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
        mounts = {**shared, known: "/etc/hosts"}
        yield [_host(stack, hub, name, address, folder, mounts) for name, address in addresses.items()]


def _add_network(stack: ExitStack, name: str) -> None:
    run("ip", "netns", "add", name)
    stack.callback(run, "ip", "netns", "del", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def _host(stack: ExitStack, hub: str, name: str, address: str, folder: Path, shared: Mapping[Path, str]) -> Host:
    network = f"ringmill-{os.getpid()}-{name}"
    _add_network(stack, network)
    run("ip", "-n", hub, "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", network)
    run("ip", "-n", hub, "link", "set", "dev", name, "master", "bridge", "up")
    run("ip", "-n", network, "address", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", network, "link", "set", "eth0", "up")
    root, own = folder / name / "root", folder / name / "tmp"
    root.mkdir(parents=True)
    own.mkdir()
    mounts = {Path("/usr"): "/usr", own: "/tmp", **_from_etc(), **_java(), **shared}
    binds = [shlex.join(["bind", str(source), target]) for source, target in mounts.items()]
    script = MAKE_ROOT.replace("DEVICES", " ".join(DEVICES)) + "\n".join(binds)
    return Host(network, name, address, script, root, hub)


def _from_etc() -> dict[Path, str]:
    paths = [*(Path("/etc") / name for name in FROM_ETC), *Path("/etc").glob("java*")]
    return {path: str(path) for path in paths if path.exists()}


def _java() -> dict[Path, str]:
    """Java's folder, where it is not a part of /usr."""
    home = java_home()
    return {} if home.is_relative_to("/usr") else {home: str(home)}


def java_home() -> Path:
    """The folder of the Java that this machine uses."""
    java = shutil.which("java", path=f"{os.environ.get('JAVA_HOME', '')}/bin:{os.environ['PATH']}")
    assert java, "no Java on this machine"
    return Path(java).resolve().parents[1]


def run(*command: str) -> str:
    """What a command prints; raises CalledProcessError when it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
