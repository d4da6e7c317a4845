"""Chromium without a screen, driven through its DevTools pipe: messages as JSON, each ended by a NUL byte.

Source: https://chromedevtools.github.io/devtools-protocol
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60.0
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars")
# The browser takes commands from descriptor 3 and answers on 4.
ON_PIPES = 'exec "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
OVERFLOW = """
(() => {
  const page = document.documentElement;
  const within = (node) => node && (getComputedStyle(node).overflowX !== "visible" || within(node.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter((node) =>
    node.getBoundingClientRect().right > page.clientWidth + 1 && !within(node.parentElement));
  return {page: page.scrollWidth - page.clientWidth, wide: wide.map((node) => node.outerHTML.slice(0, 200))};
})()
"""
CUT_LABELS = """
[...document.querySelectorAll("svg")].flatMap((drawing) => {
  const outer = drawing.getBoundingClientRect();
  return [...drawing.querySelectorAll("text")].filter((text) => {
    const inner = text.getBoundingClientRect();
    return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.top < outer.top - 1
      || inner.bottom > outer.bottom + 1;
  }).map((text) => text.textContent);
})
"""


class Browser:
    """A running Chromium with one page."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._rest = 0, b""
        self._messages: deque[dict[str, Any]] = deque()
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (response := self._receive()).get("id") != self._number:
            self._messages.append(response)
        assert "error" not in response, f"{method}: {response['error']}"
        result: dict[str, Any] = response["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._answers], [], [], PATIENCE)[0], "Chromium does not answer"
            received = os.read(self._answers, 1 << 20)
            assert received, "Chromium ended"
            self._rest += received
        one, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message

    def open(self, address: str, width: int, *, dark: bool = False) -> None:
        """Load a page as wide as so many pixels, by day or by night."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self._messages.clear()
        self.send("Page.navigate", url=address)
        while not any(message.get("method") == "Page.loadEventFired" for message in self._messages):
            self._messages.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's once it is there."""
        response = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in response, response["exceptionDetails"]
        return response["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of a JavaScript expression, once it is true."""
        ends = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < ends, f"never true: {expression}"
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """The text of an element, as it is seen."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field, as if typed."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        box = self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); node.scrollIntoView({{block: 'center'}});"
            "const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for type_ in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=type_, x=box[0], y=box[1], button="left", clickCount=1)

    def check_layout(self) -> None:
        """Fail where something is wider than the page and does not scroll in its box, or a drawing cuts a label off."""
        assert self.evaluate(OVERFLOW) == {"page": 0, "wide": []}
        assert self.evaluate(CUT_LABELS) == []

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, while the block lasts; the test is skipped where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium here; setup/system.sh installs it on Debian as root")
    commands, answers = (tuple(map(_high, os.pipe())) for _ in range(2))
    with tempfile.TemporaryDirectory(prefix="ringmill-browser-", ignore_cleanup_errors=True) as profile:
        command = [program, *OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        inherited = {"COMMANDS": str(commands[0]), "ANSWERS": str(answers[1])}
        process = subprocess.Popen(
            ["bash", "-c", ON_PIPES, "bash", *command],
            pass_fds=(commands[0], answers[1]),
            env={**os.environ, **inherited, "HOME": profile},
            stderr=subprocess.DEVNULL,
        )
        os.close(commands[0])
        os.close(answers[1])
        try:
            yield Browser(commands[1], answers[0])
        finally:
            os.close(commands[1])  # at which the browser ends with all of its processes
            _end(process)
            os.close(answers[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _high(descriptor: int) -> int:
    """The same as a number above those that the browser itself uses."""
    number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return number
