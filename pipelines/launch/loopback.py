"""Holds a port of another process to the loopback, for a program that has no option for it."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

PIDFD_GETFD = 438  # the system call's number, the same on every architecture


def hold_to_loopback(pid: int, port: int) -> bool:
    """Have a child's listening socket take what comes by the loopback device alone; False where the kernel does not let us.

    mpiexec listens on every address of its host, whatever interface it names to its proxies. pidfd_getfd (Linux 5.6) gives us
    its own socket, which is then bound to the device: what comes by another finds no such port.
    """
    try:
        for listener in listeners(pid, port):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
            return True
    except OSError:
        return False
    return False


def listeners(pid: int, port: int) -> Iterator[socket.socket]:
    """A child's sockets on a port, as descriptors of our own, one open at a time. Raises OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if not link.is_socket():  # or closed meanwhile
                continue
            descriptor = libc.syscall(PIDFD_GETFD, process, int(link.name), 0)
            if descriptor < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            with socket.socket(fileno=descriptor) as candidate:
                if candidate.family in (socket.AF_INET, socket.AF_INET6) and candidate.getsockname()[1] == port:
                    yield candidate
    finally:
        os.close(process)
