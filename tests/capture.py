"""Write all that crosses a network to a file: `ip netns exec NAME python tests/capture.py FILE`, until SIGTERM.

A frame is its length, 4 bytes, and its bytes. FILE is there once the capture has begun. A bridge shows each frame twice.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ALL_PROTOCOLS, FRAME_BYTES, BUFFER_BYTES = 0x0003, 1 << 17, 1 << 26
LENGTH = struct.Struct("!I")


def frames(path: Path) -> Iterator[bytes]:
    """The frames of a file that a capture wrote."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (size,) = LENGTH.unpack_from(content, at)
        at += LENGTH.size
        yield content[at : at + size]
        at += size


def main() -> None:
    """Capture until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as sniffer:
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        with Path(sys.argv[1]).open("wb") as file:
            while frame := sniffer.recv(FRAME_BYTES):
                file.write(LENGTH.pack(len(frame)) + frame)


if __name__ == "__main__":
    main()
