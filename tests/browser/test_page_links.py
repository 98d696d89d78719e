"""A link to the page: it decides nothing about whom the user talks to, and as whom.

Hosts that do not belong to this machine are names that Chromium resolves to the scripted server,
so that a connection that is opened without being asked for is seen there. A few addresses of each
kind are here; all of them are in client/js/test/page-links.test.js.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.page import type_message
from tests.browser.scripted import Reply, ScriptedServer, static_site
from tests.e2e.stack import ROOT

OWN = "talk.example"
"""Where the page is, as far as the browser knows."""
EVIL = "evil.example"

READY = "#state[data-state=ready]"


@pytest.fixture
def visit(opened: Open, browser: Browser) -> Open:
    """Open a page there. What listens to the sound has no place in a page that is not secure."""
    return functools.partial(opened, browser, ready=False, bypass_csp=False)


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    """A second server, as good as the first."""
    with ScriptedServer().running() as running:
        yield running


@pytest.fixture
def page_url(site: str) -> str:
    """The page, at a host that is not this machine's."""
    return site.replace("127.0.0.1", OWN)


def at(server: ScriptedServer, host: str) -> str:
    """The server's address under another name."""
    return server.url.replace("127.0.0.1", host)


def question(page: Page) -> str:
    """What the user is asked, in full."""
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_be_visible()
    return dialog.inner_text()


def choose(page: Page, server: ScriptedServer, host: str) -> str:
    """Have the user type an address, so that it is theirs."""
    if page.get_attribute("#link", "open") is None:
        page.click("#link summary")
    page.fill("#url", at(server, host))
    page.press("#url", "Enter")
    page.wait_for_selector(READY)
    return at(server, host)


def untouched(server: ScriptedServer) -> bool:
    """Whether not even a handshake has come."""
    return server.handshakes == 0


LINKS = {
    "another host": "ws://{evil}/dev",
    "the page's host before the at sign": "ws://talk.example@{evil}/dev",
    "the page's server encrypted": "wss://{own}/dev",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_a_link_to_a_host_that_is_not_the_pages_own_opens_nothing_unasked(
    link: str,
    visit: Open,
    page_url: str,
    server: ScriptedServer,
) -> None:
    port = urlsplit(server.url).port
    asked = link.replace("{evil}", f"{EVIL}:{port}").replace("{own}", urlsplit(page_url).netloc)
    page = visit(f"{page_url}?url={quote(asked)}#token=theirs")
    assert "Connect to another server?" in question(page)
    assert untouched(server)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Not connected")
    expect(page).to_have_url(page_url)  # a reload does not ask again
    assert untouched(server)
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


@pytest.mark.parametrize("link", ["//evil.example/dev", "javascript:alert(1)"])
def test_a_link_without_an_address_is_told_as_such_and_opens_nothing(
    link: str, visit: Open, page_url: str
) -> None:
    watch = """
        window.opened = [];
        window.WebSocket = class { constructor(url) { window.opened.push(url); } close() {} };
    """
    page = visit(f"{page_url}?url={quote(link)}", script=watch)
    assert "This link leads nowhere" in question(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    assert page.evaluate("window.opened") == []


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("tаlk.example", "xn--tlk-6cd.example"),
        ("talk.example." + "long." * 40 + "evil.example", "long.evil.example"),
    ],
)
def test_the_host_is_shown_in_full_and_as_what_it_is(
    host: str, shown: str, visit: Open, page_url: str, server: ScriptedServer
) -> None:
    port = urlsplit(server.url).port
    address = quote(f"ws://talk.example@{host}:{port}/dev")
    page = visit(f"{page_url}?url={address}")
    page.set_viewport_size({"width": 320, "height": 568})
    name = page.locator("#question-hosts .host")
    expect(name).to_contain_text(f"{shown}:{port}")
    expect(page.get_by_role("alertdialog")).to_contain_text("not encrypted")
    assert page.evaluate(
        "(name) => name.scrollWidth <= name.clientWidth + 1", name.element_handle()
    ), "no part of it is cut off"


def test_who_says_yes_is_connected_and_not_asked_again(
    visit: Open, page_url: str, server: ScriptedServer
) -> None:
    link = f"{page_url}?url={at(server, EVIL)}"
    page = visit(link)
    question(page)
    assert page.evaluate("document.activeElement.textContent") == "Cancel", (
        "Enter gives nothing away"
    )
    page.get_by_role("button", name="Connect", exact=True).last.click()
    page.wait_for_selector(READY)
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector(READY)
    page.goto(page_url)
    expect(page.locator("#url")).not_to_have_value(at(server, EVIL))


def test_an_address_that_was_typed_is_not_asked_for_and_its_downgrade_is(
    visit: Open, page_url: str, server: ScriptedServer, other: ScriptedServer
) -> None:
    page = visit(page_url)
    url = choose(page, server, EVIL)
    page.goto(f"{page_url}?url={url}")
    page.wait_for_selector(READY)
    for elsewhere_url in (at(other, EVIL), url.replace("ws://", "wss://")):
        page.goto(f"{page_url}?url={elsewhere_url}")
        question(page)
    assert untouched(other)


@pytest.mark.parametrize(
    ("with_url", "at_once"),
    [(False, True), (True, True), (True, False)],
    ids=["own server", "chosen server, refused", "chosen server, agreed to"],
)
def test_a_session_is_shown_to_no_http_address_of_a_link(
    with_url: bool,
    at_once: bool,
    visit: Open,
    page_url: str,
    server: ScriptedServer,
    other: ScriptedServer,
) -> None:
    page = visit(page_url)
    url = choose(page, server, "mine.example")
    http = at(other, EVIL).replace("ws://", "http://")
    query = f"?url={url}&http={http}" if with_url else f"?http={http}"
    page.goto(page_url + query)
    said = question(page)
    assert urlsplit(http).netloc in said
    assert untouched(other)
    if at_once:
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("status")).to_have_text("Not connected")
        assert untouched(other)
    else:
        page.get_by_role("button", name="Connect", exact=True).last.click()
        page.wait_for_selector(READY)
        assert "session_id" not in server.of_type("init")[-1], "another server, another session"


def test_an_http_address_that_was_agreed_to_is_agreed_to_for_one_server_only(
    visit: Open, page_url: str, server: ScriptedServer, other: ScriptedServer
) -> None:
    http = at(other, EVIL).replace("ws://", "http://")
    page = visit(f"{page_url}?url={at(server, EVIL)}&http={http}")
    question(page)
    page.get_by_role("button", name="Connect", exact=True).last.click()
    page.wait_for_selector(READY)
    page.goto(page_url)
    url = choose(page, server, "mine.example")
    page.goto(f"{page_url}?url={url}&http={http}")
    assert "Connect to another server?" in question(page)


def test_a_link_of_this_machine_opens_at_once_as_make_run_prints_it(
    opened: Open, browser: Browser, site: str, server: ScriptedServer, other: ScriptedServer
) -> None:
    server.accepted = "mine"
    http = other.url.replace("ws://127.0.0.1", "http://localhost")
    page = opened(browser, f"{site}?url={server.url}&http={http}#token=mine")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    assert server.offered == ["mine"]
    assert "token" not in page.url


@pytest.mark.parametrize(("how", "agrees"), [("another page", False), ("the same page", True)])
def test_a_token_that_is_there_is_not_replaced_in_silence(
    how: str, agrees: bool, opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "mine"
    link = f"{site}?url={server.url}"
    page = opened(browser, f"{link}#token=mine", bypass_csp=False)
    type_message(page, "Hello")
    server.wait_for("user_message")
    if how == "another page":
        page.goto("about:blank")
    page.goto(f"{link}#token=theirs")  # a browser goes nowhere for another fragment
    assert "Sign in as somebody else?" in question(page)
    assert "theirs" not in server.offered
    server.accepted = "theirs" if agrees else "mine"
    if agrees:
        page.get_by_role("button", name="Sign in anew").click()
    else:
        page.keyboard.press("Escape")
    page.wait_for_selector(READY)
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    page.wait_for_function("!location.href.includes('token')")
    page.reload()
    page.wait_for_selector(READY)
    assert server.offered[-1] == server.accepted
    if agrees:
        assert "session_id" not in server.of_type("init")[1], "what was said stays with who said it"
    else:
        assert "theirs" not in server.offered


@pytest.mark.parametrize("more", ["&http={http}", "/other"])
def test_nor_is_it_for_another_path_of_the_same_server(
    more: str, opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "mine"
    opened_page = opened(browser, f"{site}?url={server.url}#token=mine", bypass_csp=False)
    opened_page.goto("about:blank")
    http = server.url.replace("ws://", "http://")
    opened_page.goto(f"{site}?url={server.url}{more.replace('{http}', http)}#token=theirs")
    assert "Sign in as somebody else?" in question(opened_page)
    assert "theirs" not in server.offered


def test_the_same_token_again_asks_nothing(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.accepted = "mine"
    page = opened(browser, f"{site}?url={server.url}#token=mine", bypass_csp=False)
    page.goto("about:blank")
    page.goto(f"{site}?url={server.url}#token=mine")
    page.wait_for_selector(READY)
    assert server.offered == ["mine", "mine"]


def test_a_token_without_an_address_goes_to_the_pages_own_server_and_no_other(
    visit: Open, page_url: str, server: ScriptedServer
) -> None:
    page = visit(page_url)
    choose(page, server, "mine.example")
    before = server.handshakes
    page.goto(f"{page_url}#token=secret")
    page.wait_for_function("!location.href.includes('token')")
    expect(page.locator("#url")).to_have_value(f"ws://{urlsplit(page_url).netloc}/dev")
    assert server.handshakes == before


def test_the_deployer_says_in_the_page_which_server_is_its_own(
    visit: Open, server: ScriptedServer, tmp_path: Path
) -> None:
    web = shutil.copytree(ROOT / "web", tmp_path / "web")
    empty = 'name="parley-url" content=""'
    named = (web / "index.html").read_text()
    assert empty in named
    (web / "index.html").write_text(
        named.replace(empty, empty[:-1] + at(server, "api.example") + '"')
    )
    with static_site({"/": web, "/client/": ROOT / "client" / "js"}) as url:
        page = visit(url.replace("127.0.0.1", OWN))
        page.wait_for_selector(READY)
        assert server.types() == ["init"]
        page.context.close()


@contextmanager
def deployed(server: ScriptedServer, http_url: str = "") -> Iterator[str]:
    """The page as a deployer has it: it names its own API."""
    html = (ROOT / "web" / "index.html").read_text()
    for name, value in (("parley-url", at(server, OWN)), ("parley-http-url", http_url)):
        empty = f'name="{name}" content=""'
        assert empty in html
        html = html.replace(empty, f'{empty[:-1]}{value}"')

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = html.encode()
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with static_site(
        {"/": ROOT / "web", "/client/": ROOT / "client" / "js"}, instead={"/": answer}
    ) as url:
        yield url.replace("127.0.0.1", OWN)


@pytest.mark.parametrize(
    ("more", "http_url"),
    [("?token=attacker", ""), ("/../other?token=attacker", "https://http.talk.example/api")],
)
def test_a_link_to_the_pages_own_server_changes_neither_who_one_is_there_nor_the_session(
    more: str, http_url: str, visit: Open, server: ScriptedServer
) -> None:
    server.accepted = "mine"
    with deployed(server, http_url) as url:
        page = visit(f"{url}#token=mine")
        page.wait_for_selector(READY)
        page.goto("about:blank")
        page.goto(f"{url}?url={quote(at(server, OWN) + more)}")
        page.wait_for_selector(READY)
        expect(page.get_by_role("alertdialog")).to_be_hidden()
        assert server.paths == ["/dev", "/dev"]
        assert server.offered == ["mine", "mine"]
        assert server.of_type("init")[1]["session_id"] == "s1"
        page.context.close()


def test_a_query_in_an_address_reaches_no_server_and_a_typed_token_is_shown_as_one(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={quote(server.url + '?token=theirs&x')}")
    assert server.paths == ["/dev"]
    server.accepted = "mine"
    page.click("#link summary")
    page.fill("#url", f"{server.url}?token=mine")
    page.press("#url", "Enter")
    page.wait_for_function("document.querySelector('#link').open === false")
    page.wait_for_selector(READY)
    assert server.paths[-1] == "/dev"
    assert server.offered == ["mine"]
    kept = page.evaluate("JSON.stringify({...localStorage})")
    assert "mine" not in kept, "a token is kept no longer than the tab is open"


def words_on(page: Page) -> str:
    """All that is to be found in the page, seen or not."""
    return str(
        page.evaluate(
            """() => document.documentElement.outerHTML
                + [...document.querySelectorAll("input")].map(({ value }) => value).join()"""
        )
    )


def test_who_signs_in_anew_finds_nothing_of_who_was_there_before(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={server.url}#token=alice")
    type_message(page, "Are the pears ripe?")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("The pears are ripe.")
    reply.end("The pears are ripe.")
    expect(page.locator("#announce")).to_have_text("The pears are ripe.")
    type_message(page, "Give me pears")
    Reply(server, server.wait_for("user_message", 2)["turn_id"]).text("Pears, at once")
    expect(page.locator("#turns")).to_contain_text("Pears, at once")
    server.send(type="config_updated", settings={"style": "like a pear"})
    page.fill("#text", "A draft of pears")
    page.evaluate("location.hash = '#token=bob'")
    page.get_by_role("button", name="Sign in anew").click()
    server.wait_for("init", 2)
    page.wait_for_selector(READY)
    assert "pear" not in words_on(page).lower()
    assert "bob" not in words_on(page).lower()
    page.click("#panel-toggle")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export", exact=True).click()
    exported = Path(download.value.path()).read_text()
    assert "ready" in exported
    assert "pear" not in exported.lower()


def test_a_new_conversation_forgets_the_events_and_the_times_too(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={server.url}")
    type_message(page, "Are the pears ripe?")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("The pears are ripe.")
    reply.end("The pears are ripe.")
    expect(page.locator("#announce")).to_have_text("The pears are ripe.")
    page.get_by_role("button", name="New conversation").click()
    server.wait_for("end")
    server.send(type="session_ended", session_id="s1", reason="ended")
    server.wait_for("init", 2)
    page.wait_for_selector(READY)
    assert "pear" not in words_on(page).lower()


@pytest.mark.parametrize("fragment", ["#", "#/route?token=x"])
def test_another_fragment_without_a_token_disturbs_nothing(
    fragment: str, opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={server.url}")
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("Good ")
    expect(page.locator(".reply")).to_contain_text("Good")
    page.evaluate(
        """(fragment) => new Promise((done) => {
            addEventListener("hashchange", () => setTimeout(done));
            location.hash = "#before";
            location.hash = fragment;
        })""",
        fragment,
    )
    reply.text("day.")
    expect(page.locator(".reply")).to_contain_text("Good day.")
    assert server.types() == ["init", "user_message"]
    assert server.handshakes == 1


def test_two_tokens_one_after_the_other_begin_no_conversation_elsewhere(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={server.url}")
    page.evaluate("location.hash = '#token=one'; location.hash = '#token=one&x'")
    server.wait_for("init", 2)
    page.wait_for_selector(READY)
    expect(page.locator("#url")).to_have_value(server.url)


def test_of_a_long_question_the_beginning_and_both_answers_are_seen(
    visit: Open, page_url: str, server: ScriptedServer
) -> None:
    long = ".".join(letter * 60 for letter in "abc")
    host = f"{OWN}.{long}.{EVIL}"
    link = f"{page_url}?url={quote(f'wss://{host}/dev')}&http={quote(f'https://x.{host}/')}"
    page = visit(page_url)
    for width, height in ((320, 568), (640, 400), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(link)
        question(page)
        dialog = page.locator("#question").bounding_box()
        title = page.locator("#question-title").bounding_box()
        assert dialog
        assert title
        assert title["y"] >= dialog["y"], f"at {width} pixels it begins at its beginning"
        for name in ("Cancel", "Connect"):
            button = page.locator("#question").get_by_role("button", name=name)
            expect(button, f"at {width} pixels").to_be_in_viewport(ratio=1)
