"""A page with nothing on it but the client, to see what it does with the browser's real devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page

from tests.browser.scripted import CACHED, Instead, static_site
from tests.e2e.stack import ROOT

FOLDERS = {"/": Path(__file__).parent / "bare", "/client/": ROOT / "client" / "js"}

CONVERSATION = """async ({ url, options, microphone, player }) => {
    const { Conversation, Microphone, Player } = window.client;
    const made = new Conversation(url, {
        microphone: (window.microphone ??= new Microphone(microphone)),
        player: player ? (window.player = new Player()) : undefined,
        ...options,
    });
    const seen = [];
    const keep = (kind) => (detail) => seen.push({ kind, ...plain(detail) });
    const plain = ({ code, message, state, problem, retryInMs, enabled }) =>
        ({ code, message, state, problem: problem && plain(problem), retryInMs, enabled });
    for (const kind of ["error", "warning", "microphone", "state", "hands_free"]) {
        made.on(kind, keep(kind));
    }
    (window.conversations ??= []).push(made);
    Object.assign(window, { conversation: made, seen });
    await made.connect();
}"""


@contextmanager
def bare_site(
    also: dict[str, str] | None = None, instead: dict[str, Instead] | None = None
) -> Iterator[str]:
    """The page's address; see `static_site`."""
    is_plain = also is None and instead is None
    with static_site(FOLDERS, also=CACHED if is_plain else also, instead=instead) as url:
        yield url


@contextmanager
def in_tab(tab: Page, url: str) -> Iterator[Page]:
    """The page, loaded anew in a tab that tests share; an error of its own scripts fails the test.

    What one test has had open is gone before the next.
    """
    problems: list[str] = []

    def keep(error: Error) -> None:
        problems.append(str(error))

    tab.on("pageerror", keep)
    try:
        tab.goto(url)
        until_loaded(tab)
        yield tab
        tab.goto("about:blank")
    finally:
        tab.remove_listener("pageerror", keep)
    assert problems == [], problems


def until_loaded(page: Page) -> None:
    page.wait_for_function("window.isLoaded")


def connect(page: Page, url: str, **options: Any) -> None:
    """A conversation in `window.conversation`; what it tells is kept in `window.seen`.

    All of a page's conversations have one microphone.
    """
    parts = {name: options.pop(name, None) for name in ("microphone", "player")}
    parts["microphone"] = parts["microphone"] or {}
    page.evaluate(CONVERSATION, {"url": url, "options": options, **parts})


def begin(page: Page, use: str) -> None:
    """Speak, or listen hands-free, without waiting for anything."""
    call = {
        "speaking": "conversation.startSpeaking()",
        "hands-free": "conversation.startHandsFree()",
    }[use]
    page.evaluate(f"() => void {call}.catch(() => undefined)")


def until_live(page: Page, tracks: int = 1) -> None:
    page.wait_for_function(f"window.live() === {tracks}")


def until_listening(page: Page) -> None:
    """The microphone is open, and a turn has begun or hands-free has."""
    page.wait_for_function(
        """() => conversation.isListening
            || seen.some(({ kind, enabled }) => kind === "hands_free" && enabled)"""
    )


def seen(page: Page, kind: str) -> list[dict[str, Any]]:
    """What the conversation has told of one kind, in order."""
    told: list[dict[str, Any]] = page.evaluate("window.seen")
    return [one for one in told if one["kind"] == kind]
