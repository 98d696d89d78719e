"""The page of a deployment that wants a token."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Open
from tests.browser.scripted import ScriptedServer

pytestmark = pytest.mark.timeout(60)


def test_the_page_shows_the_token_of_its_address_and_takes_it_out_of_there(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "given"
    page = opened(browser, f"{site}?url={server.url}#token=given")
    assert server.offered == ["given"]
    assert page.url == f"{site}?url={server.url}"
    page.reload()
    page.wait_for_selector("#state[data-state=ready]")
    assert server.offered == ["given", "given"], "it is kept while the tab is open"


def test_the_token_is_shown_to_no_other_server(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "given"
    page = opened(browser, f"{site}?url={server.url}#token=given")
    other = server.url.replace("127.0.0.1", "localhost")
    assert other != server.url
    page.goto(f"{site}?url={other}")
    page.wait_for_selector("#state[data-state=connecting]")
    page.wait_for_function("document.querySelector('#state').textContent.includes('of')")
    asked = server.offered[1:]
    assert asked
    assert set(asked) == {""}


def test_a_token_that_is_refused_is_a_sentence(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "another"
    page = opened(browser, f"{site}?url={server.url}#token=given", ready=False)
    expect(page.locator("body")).to_contain_text("The token may have expired", timeout=20_000)
