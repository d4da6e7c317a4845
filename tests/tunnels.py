"""WireGuard between hosts of tests/hosts.py, as docs/security.md sets it up between those of a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.hosts import Host, run

INTERFACE = "wg0"
NETWORK = "10.79.0"
PORT = 51820
MTU = 1420  # what Ethernet's 1,500 bytes leave beside WireGuard's own
SECONDS_TO_START = 10
SOCKETS = Path("/run/wireguard")  # of wireguard-go, by which wg speaks to it


def missing_wireguard() -> str | None:
    """Why there can be no such tunnel here; None where the kernel, or wireguard-go beside it, has WireGuard."""
    if not shutil.which("wg"):
        return "no wg: install wireguard-tools"
    return None if _in_kernel() or shutil.which("wireguard-go") else "no WireGuard in the kernel, and no wireguard-go"


def _in_kernel() -> bool:
    name = f"ringmill-probe-{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "add", INTERFACE, "type", "wireguard")
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        with suppress(OSError, subprocess.CalledProcessError):
            run("ip", "netns", "del", name)
    return True


@contextmanager
def wireguard(hosts: list[Host], folder: Path) -> Iterator[dict[str, str]]:
    """A tunnel between all hosts, by an interface of each; gives their addresses in it, by name of host."""
    addresses = {host.name: f"{NETWORK}.{number}" for number, host in enumerate(hosts, start=1)}
    keys = {host.name: folder / f"{host.name}.key" for host in hosts}
    public = {name: _write_key(path) for name, path in keys.items()}
    in_kernel = _in_kernel()
    with ExitStack() as stack:
        for host in hosts:
            settings = ["listen-port", str(PORT), "private-key", str(keys[host.name])]
            for peer in hosts:
                if peer is not host:
                    reach = ["allowed-ips", f"{addresses[peer.name]}/32", "endpoint", f"{peer.address}:{PORT}"]
                    settings += ["peer", public[peer.name], *reach]
            _add_interface(stack, host, settings, in_kernel=in_kernel)
            run("ip", "-n", host.name, "address", "add", f"{addresses[host.name]}/24", "dev", INTERFACE)
            run("ip", "-n", host.name, "link", "set", INTERFACE, "mtu", str(MTU), "up")
        yield addresses


def _write_key(path: Path) -> str:
    """Write a private key that its owner alone may read, and return the public one."""
    path.touch(mode=0o600)
    path.write_text(run("wg", "genkey"))
    return subprocess.run(["wg", "pubkey"], input=path.read_text(), capture_output=True, text=True, check=True).stdout.strip()


def _add_interface(stack: ExitStack, host: Host, settings: list[str], *, in_kernel: bool) -> None:
    """Give a host its interface, by the kernel or by a program, which this machine knows by a name that no other host has."""
    name = INTERFACE if in_kernel else f"wg{os.getpid()}{host.hostname}"[:15]
    if in_kernel:
        run("ip", "-n", host.name, "link", "add", name, "type", "wireguard")
    else:
        program = subprocess.Popen(["ip", "netns", "exec", host.name, "wireguard-go", "-f", name], stderr=subprocess.DEVNULL)
        stack.callback(program.wait)
        stack.callback(program.kill)
        stack.callback((SOCKETS / f"{name}.sock").unlink, missing_ok=True)
        deadline = time.monotonic() + SECONDS_TO_START
        while not (SOCKETS / f"{name}.sock").exists():
            assert program.poll() is None and time.monotonic() < deadline, "wireguard-go does not start"
            time.sleep(0.02)
    run("ip", "netns", "exec", host.name, "wg", "set", name, *settings)
    if name != INTERFACE:
        run("ip", "-n", host.name, "link", "set", name, "name", INTERFACE)
