"""Debian's Chromium, driven over its own pipe: no network, and no driver to install."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

PATIENCE = 60
"""So many seconds a page may take; none takes a tenth of that."""


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
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """Compute a value in the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Ask again and again until a condition holds."""
        until = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < until, f"{condition} does not come about"

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


# What people do with the page that checks a bundle.


class Found(NamedTuple):
    """What a check says."""

    result: str
    state: str | None
    problems: set[tuple[str, str]]
    """By check and file."""


def fill(page: Page, field: str, value: str) -> None:
    """Write into a field, and say so as a keyboard does."""
    page.run(
        f"((field) => {{ field.value = {json.dumps(value)};"
        " field.dispatchEvent(new Event('input')); })"
        f"(document.getElementById({json.dumps(field)}))"
    )


def chosen(page: Page, bundle: Path, *, dropped: bool = False) -> None:
    """Give the page a folder, and wait until it has it."""
    page.run("document.getElementById('chosen').textContent = ''")
    (page.drop if dropped else page.put_files)("#drop" if dropped else "#folder", bundle)
    page.wait("document.getElementById('chosen').textContent !== ''")


def checked(page: Page) -> Found:
    """Press the button, and read the answer."""
    page.run("document.querySelector('button').click()")
    page.wait("document.getElementById('outcome').getAttribute('aria-busy') === 'false'")
    result, state, problems = page.run(
        "[document.getElementById('answer').hidden"
        " ? document.getElementById('progress').textContent"
        " : document.getElementById('result').textContent,"
        " document.getElementById('answer').dataset.state || null,"
        " Array.from(document.querySelectorAll('#problems li'),"
        " (one) => [one.dataset.check, one.dataset.file])]"
    )
    return Found(result, state, {(check, file) for check, file in problems})
