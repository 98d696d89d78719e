"""A real Chromium, with a WAV file as its microphone, against the real local stack."""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.e2e.conftest import shared_stack, speech, stack
from tests.e2e.stack import ROOT, Stack

__all__ = ["shared_stack", "speech", "stack"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


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


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Its event loop runs while it does, so it must not outlive the browser tests."""
    with sync_playwright() as running:
        yield running


@pytest.fixture
def launch(playwright: Playwright) -> Callable[..., Any]:
    """Open the page in a browser of its own."""

    @contextmanager
    def opened(
        stack: Stack,
        *,
        microphone: Path | None = None,
        allowed: bool = True,
        dark: bool = False,
        size: tuple[int, int] = (1280, 800),
    ) -> Iterator[Page]:
        flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        if microphone is not None:
            flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
        browser: Browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            context = browser.new_context(
                permissions=["microphone"] if allowed else [],
                color_scheme="dark" if dark else "light",
                viewport={"width": size[0], "height": size[1]},
            )
            page = context.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.add_init_script(TAP)
            page.goto(f"{stack.info['static_url']}?url={stack.url}")
            page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
            yield page
            assert problems == []
        finally:
            browser.close()

    return opened


TAP = """
// Keeps a copy of what reaches the speakers, sample by sample, from the audio graph itself.
window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode && !this.tapped) {
    this.tapped = true;
    const tap = this.context.createScriptProcessor(4096, 1, 1);
    tap.onaudioprocess = (event) => {
      window.heard.push(event.inputBuffer.getChannelData(0).slice());
    };
    connect.call(this, tap);
    connect.call(tap, this.context.destination);
  }
  return connect.call(this, target, ...rest);
};
window.heardSamples = () => {
  const all = new Float32Array(window.heard.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of window.heard) { all.set(part, at); at += part.length; }
  return Array.from(all, (sample) => Math.round(sample * 32768));
};
"""


@pytest.fixture
def recording(tmp_path: Path) -> Callable[[bytes], Path]:
    """A WAV file that a fake microphone plays."""

    def written(pcm: bytes) -> Path:
        path = tmp_path / "microphone.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(pcm)
        return path

    return written


@pytest.fixture
def artifacts() -> Path:
    """Screenshots of the run."""
    folder = ROOT / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder
