"""Whether a network interface of this machine is a tunnel, by what the kernel shows of it under /sys/class/net."""

from __future__ import annotations

import socket
from pathlib import Path

from pipelines.errors import ConfigError

INTERFACES = Path("/sys/class/net")
KEY = "train.encrypted_interface"
NO_LINK_LAYER = 65534  # ARPHRD_NONE of linux/if_arp.h: WireGuard, tun devices and IPsec's interfaces, which carry bare IP
ENCRYPTED_DEVICES = frozenset({"wireguard", "macsec"})


def check_tunnel(name: str, interfaces: Path = INTERFACES) -> None:
    """Raise ConfigError, naming host and interface, where this machine has no interface of that name, or it is no tunnel.

    A tunnel is what its kind says: WireGuard, MACsec, or an interface without a link layer. The kernel does not know whether a
    tun device's program encrypts.
    """
    host, folder = socket.gethostname(), interfaces / name
    present = sorted(path.name for path in interfaces.iterdir()) if interfaces.is_dir() else []
    if name not in present:
        raise ConfigError(
            f"{KEY}: {host} has no network interface {name}; expected a tunnel, received {', '.join(present) or 'none'}. Set "
            f"the tunnel up on each host of the driver and the executors (docs/security.md), or fix the name."
        )
    kind, device = int((folder / "type").read_text(encoding="ascii")), _device(folder / "uevent")
    if kind != NO_LINK_LAYER and device not in ENCRYPTED_DEVICES:
        received = f"type {kind}{f' ({device})' if device else ''}"
        raise ConfigError(
            f"{KEY}: {name} of {host} is no tunnel; expected WireGuard, IPsec, MACsec or tun, received an interface of "
            f"{received}. Name the tunnel's, or set train.allow_plain_transport: true on a network that is trusted."
        )


def _device(uevent: Path) -> str:
    """The kind of device that the kernel's description names, such as wireguard; empty where it names none."""
    lines = uevent.read_text(encoding="utf-8").splitlines() if uevent.exists() else []
    return next((line.partition("=")[2] for line in lines if line.startswith("DEVTYPE=")), "")
