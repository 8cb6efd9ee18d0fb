"""Debian's Chromium, driven over its own pipe: no network, and no driver to install."""

import json
import os
import re
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PATIENCE = 60
"""So many seconds a page may take; none takes a tenth of that."""

PHONE = 500
"""Windows that are narrower are phones."""


class Page:
    """A tab that shows one page."""

    def __init__(self, to: BinaryIO, back: BinaryIO, address: str) -> None:
        self._to, self._back = to, back
        self._session: str | None = None
        self._number = 0
        self.requests: list[str] = []
        """What it asked for, in order."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.faults: list[str] = []
        """What it wrote to the console, such as what its policy refused."""
        self.open(address)

    def open(self, address: str) -> None:
        """Go to an address anew."""
        self.run("window.isOld = true")
        self.call("Page.navigate", url=address)
        self.wait("!window.isOld && document.readyState === 'complete'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask Chromium something, and wait for its answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            asked["sessionId"] = self._session
        self._to.write(json.dumps(asked).encode() + b"\0")
        self._to.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("method") == "Log.entryAdded":
                self.faults.append(answer["params"]["entry"]["text"])
            if answer.get("method") == "Runtime.exceptionThrown":
                self.faults.append(str(answer["params"]["exceptionDetails"]))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """Compute a value in the page."""
        done = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Ask again and again until a condition holds."""
        until = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < until, f"{condition} does not come about"

    def wait_for(self, file: Path) -> None:
        """Wait until a file is saved, which has its name once it is whole."""
        until = time.monotonic() + PATIENCE
        while not file.exists():
            assert time.monotonic() < until, f"{file} is not saved"
            self.run("null")

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of this size, and a narrow one as on a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < PHONE,
        )

    def hover(self, selector: str) -> tuple[float, float]:
        """Move the mouse into the middle of what is there."""
        x, y = self.run(
            "((one) => { one.scrollIntoView({ block: 'center' });"
            " const { x, y, width, height } = one.getBoundingClientRect();"
            " return [x + width / 2, y + height / 2]; })"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return x, y

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of what is there."""
        x, y = self.hover(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=codes[key],
                **(text if kind == "keyDown" else {}),
            )

    def print(self) -> int:
        """Print the page on A4, and count the sheets."""
        printed = self.call(
            "Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69
        )
        return len(re.findall(rb"/Type\s*/Page\b", b64decode(printed["data"])))

    def put_files(self, selector: str, *paths: Path) -> None:
        """Choose files, or a folder, as a person does in the field's dialogue."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop(self, selector: str, *paths: Path) -> None:
        """Drop files or folders onto a field, as a person does from a file manager."""
        box = self.run(
            f"(({{x, y}}) => [x + 20, y + 20])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=box[0], y=box[1], data=data)

    def _message(self) -> bytes:
        message = bytearray()
        while (one := self._back.read(1)) != b"\0":
            assert one, "Chromium ended"
            message += one
        return bytes(message)


@contextmanager
def shown(page: Path, profile: Path) -> Iterator[Page]:
    """Open a page from the disk in Chromium, which has to be installed."""
    program = shutil.which("chromium")
    assert program, "Chromium is not installed: apt-get install chromium"
    (read_there, write_here), (read_here, write_there) = os.pipe(), os.pipe()
    arguments = [
        program,
        "--headless",
        "--no-sandbox",  # as root there is none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    ]
    # It takes its commands from file 3, and answers in file 4.
    shell = 'exec "$@" 3<"/proc/self/fd/$0" 4>"/proc/self/fd/$WRITE"'
    with subprocess.Popen(
        ["/bin/sh", "-c", shell, str(read_there), *arguments],
        pass_fds=(read_there, write_there),
        env={**os.environ, "WRITE": str(write_there)},
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(read_there)
        os.close(write_there)
        try:
            with os.fdopen(write_here, "wb") as to, os.fdopen(read_here, "rb") as back:
                yield Page(to, back, page.as_uri())
        finally:
            process.terminate()
