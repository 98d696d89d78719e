"""Every state of the page as pictures, for whoever changes how it looks: `make pictures`.

They go to `artifacts/pictures`, by state and by look. Nothing is checked: that is what the tests
are for.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import FLAGS, MICROPHONE_HZ, MICROPHONE_LEVEL, chromium
from tests.browser.page_states import prepare
from tests.browser.scripted import ScriptedServer, static_site
from tests.browser.signals import tone, write_wav
from tests.browser.test_page_fits import LOOKED_AT
from tests.e2e.stack import ROOT

FOLDER = ROOT / "artifacts" / "pictures"


@dataclass(frozen=True)
class Look:
    """A screen, and what its user has chosen."""

    width: int
    height: int
    options: dict[str, Any]


LOOKS = {
    "wide": Look(1280, 800, {}),
    "wide-dark": Look(1280, 800, {"color_scheme": "dark"}),
    "phone": Look(390, 844, {"has_touch": True}),
    "phone-side": Look(844, 390, {"has_touch": True}),
    "small-dark": Look(320, 568, {"color_scheme": "dark"}),
    "zoomed": Look(640, 400, {}),
    "forced": Look(1280, 800, {"forced_colors": "active"}),
}


def take(browser: Browser, site: str, state: str, name: str, folder: Path) -> None:
    """One state, as it looks to one user."""
    look = LOOKS[name]
    with ScriptedServer().running() as server:
        prepare(server)
        size = {"width": look.width, "height": look.height}
        # Options of several types, of which a dict says no more than that.
        context = browser.new_context(viewport=size, **look.options)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{site}?url={server.url}")
        page.wait_for_selector("#state[data-state=ready]")
        LOOKED_AT[state](page, server)
        page.wait_for_timeout(400)  # what fades in, and a level that is not just zero
        page.screenshot(path=folder / f"{state.replace(' ', '-')}-{name}.png")
        context.close()


def main() -> None:
    """Take all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", nargs="*", default=list(LOOKED_AT), choices=list(LOOKED_AT))
    parser.add_argument("--looks", nargs="*", default=list(LOOKS), choices=list(LOOKS))
    given = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    folders = {"/": ROOT / "web", "/client/": ROOT / "client" / "js"}
    with (
        TemporaryDirectory() as sounds,
        static_site(folders) as site,
        sync_playwright() as playwright,
    ):
        pcm = tone(MICROPHONE_HZ, 20, 48_000, MICROPHONE_LEVEL)
        heard = write_wav(Path(sounds) / "heard.wav", pcm, 48_000)
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = [*FLAGS, *root, f"--use-file-for-fake-audio-capture={heard}%noloop"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        for state in given.states:
            for name in given.looks:
                take(browser, site, state, name, FOLDER)
        browser.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
