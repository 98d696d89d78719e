"""Contexts and tabs that are used again: a page's scripts are cached, all else is forgotten.

To open the page in a new context costs twice as much: a process is started, and seventy scripts
are fetched and compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, Error, Frame, Page

MOTION: Literal["reduce"] = "reduce"
"""Unless a test looks at what moves: a browser without a graphics card draws each frame by the
processor."""

# All that Chromium keeps for an origin, but what it has fetched. With `local_storage` goes what a
# tab has of it.
STORED = (
    "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage,storage_buckets"
)


class Tab:
    """A page that is emptied for the next one to be loaded into."""

    def __init__(self, context: BrowserContext, options: dict[str, Any]) -> None:
        self._options = options
        self._undone = ExitStack()
        self._session: CDPSession = context.new_cdp_session(page := context.new_page())
        self.page = page

    def load(self, url: str, scripts: Sequence[str], failed: Callable[[Error], None]) -> None:
        """Go to an address.

        Args:
            scripts: run before those of whatever is loaded until the tab is emptied.
            failed: told the errors of the page's own scripts.
        """
        self.page.on("pageerror", failed)
        self._undone.callback(self.page.remove_listener, "pageerror", failed)
        for script in scripts:
            self._undone.enter_context(self.page.add_init_script(script))
        self.page.goto(url)

    def forget(self, origins: set[str]) -> None:
        """Remove what is stored for these."""
        for origin in origins:
            removed = {"origin": origin, "storageTypes": STORED}
            self._session.send("Storage.clearDataForOrigin", removed)

    def empty(self) -> None:
        """Leave the page, and what belongs to it, as in a new tab."""
        page, options = self.page, self._options
        self._undone.close()
        page.goto("about:blank")
        page.evaluate("window.name = ''")
        self._session.send("Page.resetNavigationHistory")
        page.set_viewport_size(options["viewport"])
        page.emulate_media(
            color_scheme=options.get("color_scheme", "light"),
            reduced_motion=options.get("reduced_motion", MOTION),
        )


@dataclass(eq=False)
class Kept:
    """A context, with what tells it apart from others and what has been in it.

    Attributes:
        is_trusted: whether its tab may be used again; a test that failed may leave anything in it.
    """

    browser: Browser
    options: dict[str, Any]
    context: BrowserContext
    origins: set[str] = field(default_factory=set)
    is_closed: bool = False
    is_trusted: bool = True
    tab: Tab | None = None

    def __post_init__(self) -> None:
        self.context.on("close", lambda _context: setattr(self, "is_closed", True))
        self.context.on("page", lambda page: page.on("framenavigated", self._visited))

    def _visited(self, frame: Frame) -> None:
        scheme, host, *_ = urlsplit(frame.url)
        if host:
            self.origins.add(f"{scheme}://{host}")

    def opened(self, url: str, scripts: Sequence[str], failed: Callable[[Error], None]) -> Page:
        """A page that finds nothing of the pages before it; see `Tab.load`."""
        if self.tab is None:
            self.tab = Tab(self.context, self.options)
        self.tab.forget(self.origins)
        self.origins.clear()
        self.tab.load(url, scripts, failed)
        return self.tab.page

    def emptied(self) -> None:
        """Close its pages but one, of which nothing is left either."""
        tab, self.tab = self.tab, None
        if tab is not None and not tab.page.is_closed() and self.is_trusted:
            self.tab = tab
            tab.empty()
        for page in self.context.pages:
            if self.tab is None or page is not self.tab.page:
                page.close()
        self.context.clear_cookies()
        self.context.clear_permissions()
        self.context.set_offline(False)
        self.is_trusted = True


_idle: dict[Browser, list[Kept]] = {}
_used: set[Kept] = set()


def taken(browser: Browser, options: dict[str, Any]) -> Kept:
    """A context with these options, which nobody else has until it is given back."""
    idle = _idle.setdefault(browser, [])
    kept = next((kept for kept in reversed(idle) if kept.options == options), None)
    if kept is None:
        kept = Kept(browser, options, browser.new_context(**{"reduced_motion": MOTION, **options}))
    else:
        idle.remove(kept)
    _used.add(kept)
    return kept


def given_back(kept: Kept) -> None:
    """Keep it for the next one, unless the test has closed it."""
    _used.discard(kept)
    if kept.is_closed:
        return
    kept.emptied()
    _idle[kept.browser].append(kept)


def distrust() -> None:
    """The test that has contexts now has failed."""
    for kept in _used:
        kept.is_trusted = False


def forget(browser: Browser) -> None:
    """The browser is about to be closed, with all its contexts."""
    _idle.pop(browser, None)
