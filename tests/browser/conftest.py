"""A real Chromium with a WAV file as its microphone, and a page in it.

The page talks to a scripted server, or to the real local stack.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

from tests.browser.contexts import Kept, distrust, forget, given_back, taken
from tests.browser.scripted import CACHED, ScriptedServer, static_site
from tests.browser.signals import tone, write_wav
from tests.e2e.stack import ROOT

# The headless shell is Chromium without windows around its pages: it takes half the time.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = [
    "--disable-gpu",
    "--in-process-gpu",  # a process less to each browser
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    # Nobody is there to press "Allow"; the shell has no such button.
    "--use-fake-ui-for-media-stream",
    # As people's browsers have it: no sound before a gesture.
    "--autoplay-policy=document-user-activation-required",
    # Names of this machine that, unlike `localhost`, are not secure.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]
TAP = (Path(__file__).parent / "tap.js").read_text()
MICROPHONE_HZ = 500
MICROPHONE_LEVEL = 0.3

REFUSE_MICROPHONE = "--use-fake-ui-for-media-stream=deny"

Launch = Callable[..., AbstractContextManager[Browser]]
Open = Callable[..., Page]
Hear = Callable[[bytes, int], None]


def chromium() -> str:
    """The browser's path; without one the tests are skipped, but never where CI is set."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and MAC.exists():
        found = str(MAC)
    if found is None:
        reason = "no Chromium: install it with `sudo apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """For this folder only: while it is open, no test beside it can start an event loop."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def launch(playwright: Playwright) -> Launch:
    """A browser of one's own, that may have more flags."""

    @contextmanager
    def launched(*more: str) -> Iterator[Browser]:
        flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), *more]
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            yield browser
        finally:
            forget(browser)
            browser.close()

    return launched


@pytest.fixture(scope="package")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears, from when a page opens it: a tone of 20 s."""
    path = tmp_path_factory.mktemp("microphone") / "heard.wav"
    return write_wav(path, tone(MICROPHONE_HZ, 20, 48_000, MICROPHONE_LEVEL), 48_000)


@pytest.fixture
def hear(microphone: Path) -> Iterator[Hear]:
    """Gives the microphone something else to hear, once, by the next page that opens it.

    Chromium reads the file whenever it opens the microphone.
    """

    before = microphone.read_bytes()

    def instead(pcm: bytes, rate_hz: int) -> None:
        write_wav(microphone, pcm, rate_hz)

    yield instead
    microphone.write_bytes(before)


@pytest.fixture(scope="package")
def browser(launch: Launch, microphone: Path) -> Iterator[Browser]:
    """The browser of this folder's tests."""
    with launch(f"--use-file-for-fake-audio-capture={microphone}%noloop") as running:
        yield running


@contextmanager
def opening() -> Iterator[Open]:
    """Open a page in a browser; an error of the page's own scripts fails the test."""
    used: list[Kept] = []
    problems: list[str] = []

    def keep(error: Error) -> None:
        problems.append(str(error))

    def open_page(
        browser: Browser, url: str, *, ready: bool = True, script: str = "", **options: Any
    ) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        # The tap is a script from elsewhere, as the page's policy forbids it.
        tapped = options.setdefault("bypass_csp", True)
        kept = taken(browser, options)
        used.append(kept)
        page = kept.opened(url, [*([TAP] if tapped else []), *([script] if script else [])], keep)
        if ready:
            page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
        return page

    try:
        yield open_page
    finally:
        for kept in used:
            given_back(kept)
    assert problems == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Use no tab again in which a test has failed."""
    try:
        yield
    except BaseException:
        distrust()
        raise


@pytest.fixture
def opened() -> Iterator[Open]:
    with opening() as open_page:
        yield open_page


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The page and the client, as plain files."""
    folders = {"/": ROOT / "web", "/client/": ROOT / "client" / "js"}
    with static_site(folders, also=CACHED) as url:
        yield url


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer().running() as running:
        yield running


@pytest.fixture
def open_page(opened: Open, browser: Browser, site: str, server: ScriptedServer) -> Open:
    """The page, connected to the scripted server."""

    def with_server(**options: Any) -> Page:
        return opened(browser, f"{site}?url={server.url}", **options)

    return with_server


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Screenshots of the run."""
    folder = ROOT / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder
