"""Headless Chromium by its DevTools pipe, for tests of pages; no driver and no other package."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
WAIT_S = 60.0

# Lays the two descriptors where the browser expects them, and becomes the browser.
PIPES = """
import os, sys
read, write = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(read, 3)
os.dup2(write, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """The browser of this machine, None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One page of a browser; use as a context.

    Args:
      program: see `find_chromium`.
      profile: an empty folder.
      size: (width, height) of the window in pixels.
    """

    def __init__(
        self, program: str, profile: pathlib.Path, size: tuple[int, int] = (1100, 620)
    ):
        # The browser reads commands from descriptor 3 and answers on 4.
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        arguments = [*FLAGS, f"--user-data-dir={profile}"]
        arguments += [f"--window-size={size[0]},{size[1]}", "about:blank"]
        inner = [sys.executable, "-c", PIPES, str(read), str(write)]
        self._process = subprocess.Popen(
            [*inner, program, *arguments],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._buffer, self._number, self._session = b"", 0, None
        try:
            page = self._ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self._ask("Target.attachToTarget", targetId=page, flatten=True)
        except BaseException:
            self.close()
            raise
        self._session = attached["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised) -> None:
        self.close()

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        self._process.wait(timeout=WAIT_S)
        os.close(self._read)
        os.close(self._write)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                part = os.read(self._read, 1 << 20)
                if not part:
                    raise RuntimeError("the browser has ended")
                self._buffer += part
            text, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"]["message"])
                return answer["result"]

    def open(self, address: str) -> None:
        """Goes to a page, and waits until it is there."""
        self._ask("Page.navigate", url=address)
        here = f"location.href.startsWith({address!r})"
        self.wait_for(f"{here} && document.readyState == 'complete'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression on the page."""
        result = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def wait_for(self, script: str, seconds: float = WAIT_S) -> Any:
        """Waits until an expression is true.

        Raises:
          TimeoutError: if it does not become so.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = self.evaluate(script)
            if value:
                return value
            time.sleep(0.1)
        raise TimeoutError(f"{script}; the page says: {self.text()}")

    def text(self, element: str = "") -> str:
        """What an element of that id shows, or the whole page."""
        place = f"getElementById('{element}')" if element else "body"
        return self.evaluate(f"document.{place}.innerText")

    def picture(self, path: pathlib.Path) -> None:
        """Writes what the window shows as PNG."""
        found = self._ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))
