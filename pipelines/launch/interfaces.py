"""The network interface that a host talks to its cluster by."""

from __future__ import annotations

import socket

import psutil

LOOPBACK_INTERFACE = "lo"


def address_of(interface: str) -> str | None:
    """The first IPv4 address of this machine's interface; None where it has none."""
    addresses = psutil.net_if_addrs().get(interface, [])
    return next((each.address for each in addresses if each.family == socket.AF_INET), None)


def interface_of(host: str) -> str | None:
    """The name of this machine's interface that has an address of `host`, a name or an address; None where none has it.

    Ranks listen on it alone. Without it MPI would take any, such as that of another network which the machine is in too.
    """
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return None
    if any(address.startswith("127.") for address in addresses):
        return LOOPBACK_INTERFACE
    named = psutil.net_if_addrs().items()
    return next((name for name, its in named if any(each.address.partition("%")[0] in addresses for each in its)), None)
