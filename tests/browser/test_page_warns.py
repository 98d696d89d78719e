"""What works less well than it could is told where whoever runs the page looks."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Open
from tests.browser.page import held, type_message
from tests.browser.scripted import Instead, Reply, ScriptedServer, static_site
from tests.browser.signals import tone
from tests.e2e.stack import ROOT


def not_there(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def test_a_worklet_that_is_missing_is_named_in_the_events_and_in_the_console(
    opened: Open, browser: Browser, server: ScriptedServer
) -> None:
    files = ("capture-worklet.js", "player-worklet.js")
    missing: dict[str, Instead] = {f"/client/{name}": not_there for name in files}
    folders = {"/": ROOT / "web", "/client/": ROOT / "client" / "js"}
    with static_site(folders, instead=missing) as url:
        page = opened(browser, f"{url}?url={server.url}")
        lines: list[str] = []
        page.on("console", lambda line: lines.append(f"{line.type}: {line.text}"))
        type_message(page, "Sing")
        reply = Reply(server, server.wait_for("user_message")["turn_id"])
        reply.audio(tone(440, 0.2, 24_000))
        reply.end("la")
        with held(page):
            server.wait_for("audio_chunk")
        page.click("#panel-toggle")
        for name in files:
            expect(page.locator("#events").get_by_text(name).first).to_be_visible()
            assert any(line.startswith("warning") and name in line for line in lines), lines
        expect(page.locator("#notice")).to_be_hidden()
        page.context.close()
