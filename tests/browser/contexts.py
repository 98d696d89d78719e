"""Browser contexts that are used again: a page's scripts are cached, all else is forgotten.

To open the page in a new context costs half as much again: seventy scripts are fetched anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Frame, Page

# All that Chromium keeps for an origin, but what it has fetched.
STORED = (
    "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage,storage_buckets"
)


@dataclass
class Kept:
    """A context, with what tells it apart from others and what has been in it."""

    browser: Browser
    options: dict[str, Any]
    context: BrowserContext
    origins: set[str] = field(default_factory=set)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.context.on("close", lambda _context: setattr(self, "is_closed", True))
        self.context.on("page", lambda page: page.on("framenavigated", self._visited))

    def _visited(self, frame: Frame) -> None:
        scheme, host, *_ = urlsplit(frame.url)
        if host:
            self.origins.add(f"{scheme}://{host}")

    def new_page(self) -> Page:
        """An empty page that finds nothing of the pages before it."""
        page = self.context.new_page()
        if self.origins:
            session = self.context.new_cdp_session(page)
            for origin in self.origins:
                session.send(
                    "Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED}
                )
            session.detach()
            self.origins.clear()
        return page


_idle: dict[Browser, list[Kept]] = {}


def taken(browser: Browser, options: dict[str, Any]) -> Kept:
    """A context with these options, which nobody else has until it is given back."""
    idle = _idle.setdefault(browser, [])
    for kept in idle:
        if kept.options == options:
            idle.remove(kept)
            return kept
    return Kept(browser, options, browser.new_context(**options))


def given_back(kept: Kept) -> None:
    """Close its pages, and keep it for the next one, unless the test has closed it."""
    if kept.is_closed:
        return
    for page in kept.context.pages:
        page.close()
    kept.context.clear_cookies()
    kept.context.clear_permissions()
    kept.context.set_offline(False)
    _idle[kept.browser].append(kept)


def forget(browser: Browser) -> None:
    """The browser is about to be closed, with all its contexts."""
    _idle.pop(browser, None)
