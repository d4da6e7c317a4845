"""Count TCP bytes by pair of addresses: `ip netns exec NAME python tests/traffic.py FILE PORT`, until SIGTERM.

FILE is JSON with a number of bytes by "from to". What has PORT at either end does not count. A bridge shows each packet twice.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
from collections import Counter
from pathlib import Path

ALL_PROTOCOLS = 0x0003
IPV4, TCP, ETHERNET_BYTES, IPV4_BYTES = 0x0800, 6, 14, 20
FRAME_BYTES = 1 << 17


def pair(frame: bytes, without: int) -> str | None:
    """The addresses of a TCP segment, from and to; None of anything else, or where a port is `without`."""
    if len(frame) < ETHERNET_BYTES + IPV4_BYTES + 4 or struct.unpack_from("!H", frame, 12)[0] != IPV4:
        return None
    header = frame[ETHERNET_BYTES:]
    ports = struct.unpack_from("!HH", header, 4 * (header[0] & 0x0F))
    if header[9] != TCP or without in ports:
        return None
    return f"{socket.inet_ntoa(header[12:16])} {socket.inet_ntoa(header[16:20])}"


def main() -> None:
    """Count until SIGTERM, then write."""
    counts: Counter[str] = Counter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as sniffer:
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        try:
            while frame := sniffer.recv(FRAME_BYTES):
                if addresses := pair(frame, int(sys.argv[2])):
                    counts[addresses] += len(frame)
        finally:
            Path(sys.argv[1]).write_text(json.dumps(counts), encoding="utf-8")


if __name__ == "__main__":
    main()
