"""Serve a CSV file's rows as a paged JSON API: `python setup/rest_server.py weather.csv --port 8080 --time time_hour`.

GET /any/path?from=2013-01-01T00:00:00Z&to=…&page=1&size=1000 answers {"data": {"items": […]}, "total": 26115, "next": "c1000"};
`cursor=c1000` asks for what follows, and a Link header (RFC 8288) names the next page. Plain Python, nothing of ringmill.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

SIZE = 1000
MOST = 5000
Row = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """One request: when it came (seconds, monotonic), its path, its parameters and its headers, names in lower case."""

    at: float
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class JsonApi(ThreadingHTTPServer):
    """The server; `requests` holds what it was asked. Port 0 takes any free one."""

    daemon_threads = True

    def __init__(self, rows: list[Row], time_column: str = "", port: int = 0, handler: type[Handler] | None = None) -> None:
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.rows = rows
        self.time_column = time_column
        self.requests: list[Seen] = []

    @property
    def base(self) -> str:
        """The address that the server's paths begin with, such as http://127.0.0.1:8080."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str, query: dict[str, str]) -> tuple[Row, str | None]:
        """The answer to a query, and the next page's address, relative, when there is one."""
        size = min(int(query.get("size", SIZE)), MOST)
        page = int(query.get("page", 1))
        start = int(query["cursor"].removeprefix("c")) if "cursor" in query else (page - 1) * size
        rows = [row for row in self.rows if self._within(row, query)]
        end = start + size
        answer = {"data": {"items": rows[start:end]}, "total": len(rows), "next": f"c{end}" if end < len(rows) else None}
        link = f"{path}?{urlencode({**query, 'page': page + 1})}"
        return answer, link if end < len(rows) else None

    def _within(self, row: Row, query: dict[str, str]) -> bool:
        # Instants in ISO form, all in UTC, are in order as text.
        when = str(row.get(self.time_column, ""))
        return ("from" not in query or query["from"] <= when) and ("to" not in query or when < query["to"])


class Handler(BaseHTTPRequestHandler):
    """Notes each GET request on its server, and answers with a page of rows as JSON."""

    server: JsonApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Note the request, and answer it."""
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(time.monotonic(), parts.path, dict(parse_qsl(parts.query)), headers)
        self.server.requests.append(seen)
        self.respond(seen)

    def respond(self, seen: Seen) -> None:
        """Answer a request as an API in good health does."""
        answer, link = self.server.answer(seen.path, seen.query)
        self.send(200, json.dumps(answer).encode(), {"Link": f'<{link}>; rel="next"'} if link else {})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send an answer; headers given here win over the usual ones."""
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**usual, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: a request is no news."""


def read_rows(path: Path) -> list[Row]:
    """A CSV file's rows, numbers as numbers, NA and empty fields as null."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    if text in ("", "NA"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def main() -> None:
    """Serve until the process is ended; the first line on standard output is the address."""
    parser = argparse.ArgumentParser(prog="rest_server.py")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--time", default="", help="the column that from and to select by")
    arguments = parser.parse_args()
    with JsonApi(read_rows(arguments.csv), arguments.time, arguments.port) as server:
        print(server.base, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
