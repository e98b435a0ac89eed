"""A headless Chromium, driven through ChromeDriver's HTTP interface (W3C WebDriver)."""
from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
# As root in a container, without Chromium's own calls to the internet.
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--window-size=1400,1000')
_ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One window."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, command: str, method: str = 'POST', **body: Any) -> Any:
        """Send a command."""
        data = json.dumps(body).encode() if method == 'POST' else None
        request = urllib.request.Request(
            self.url + command, data, {'Content-Type': 'application/json'}, method=method)
        with _LOCAL.open(request, timeout=60) as reply:
            return json.load(reply)['value']

    def run(self, script: str, *args: Any) -> Any:
        """Run JavaScript."""
        return self.call('/execute/sync', script=script, args=list(args))

    def wait(self, script: str, *args: Any, seconds: float = 60) -> Any:
        """Run JavaScript until it gives something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script, *args):
                return found
            time.sleep(0.2)
        raise TimeoutError(f'{script} gave nothing in {seconds} s.')

    def click(self, selector: str) -> None:
        """Click an element, once it is there."""
        element = self.wait(f'return document.querySelector({json.dumps(selector)})')[_ELEMENT]
        self.call(f'/element/{element}/click')

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point, move it over the others, release it."""
        moves = [dict(type='pointerMove', duration=100, x=round(x), y=round(y)) for x, y in points]
        press, release = (dict(type=f'pointer{name}', button=0) for name in ('Down', 'Up'))
        actions = [moves[0], press, *moves[1:], release]
        self.call('/actions', actions=[dict(
            type='pointer', id='mouse', parameters=dict(pointerType='mouse'), actions=actions)])

    def screenshot(self, path: Path) -> None:
        """Write a PNG file."""
        path.write_bytes(base64.b64decode(self.call('/screenshot', 'GET')))


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser of its own while a ``with`` lasts."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    # Chromium may still write to its profile while it ends.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen([DRIVER, f'--port={port}'], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            browser = _start(f'http://127.0.0.1:{port}', profile)
            yield browser
            browser.call('', 'DELETE')
        finally:
            driver.terminate()
            driver.wait(timeout=20)


def _start(url: str, profile: str) -> Browser:
    options = dict(binary=CHROMIUM, args=[*FLAGS, f'--user-data-dir={profile}'])
    for _ in range(100):
        with contextlib.suppress(OSError):
            session = Browser(url).call('/session', capabilities=dict(
                alwaysMatch={'goog:chromeOptions': options}))
            return Browser(f'{url}/session/{session["sessionId"]}')
        time.sleep(0.2)
    raise TimeoutError('Chromium did not start.')
