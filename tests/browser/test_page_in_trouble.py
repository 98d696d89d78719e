"""The page in a real browser while the network, the server or the user's patience gives out."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Open
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import samples_of, tone
from tests.browser.test_page import heard, type_message, until_played, until_sounding

STATUS = "#state"


def test_an_interrupted_reply_is_quiet_within_30_ms(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    page.evaluate(
        """() => document.addEventListener("keydown", ({ key }) => {
            if (key === "Escape") window.pressedS = window.soundNowS();
        }, { capture: true })"""
    )
    quiet_ms = []
    for number in range(1, 6):
        type_message(page, "Talk on")
        turn_id = server.wait_for("user_message", number)["turn_id"]
        reply = Reply(server, turn_id)
        reply.audio(tone(440, 5, 24_000))
        page.wait_for_function(f"window.parley.player.turn === '{turn_id}'")
        until_sounding(page, 100)
        page.keyboard.press("Escape")
        server.wait_for("interrupt", number)
        reply.end("", "interrupted")
        server.wait_for("ack", number)
        # If it went on, it would be heard for so long.
        page.wait_for_function("window.soundNowS() > window.pressedS + 0.2")
        quiet_ms.append(1000 * page.evaluate("async () => await lastSoundS() - pressedS"))
    # By the speakers' clock, of five: a machine that is busy elsewhere may be late once.
    assert statistics.median(quiet_ms) < 30, quiet_ms


def test_a_server_that_is_stopped_and_started_again_costs_not_one_sample(
    opened: Open, browser: Browser, site: str, artifacts: Path
) -> None:
    server = ScriptedServer()
    pcm = tone(440, 1, 24_000)
    half = len(pcm) // 2
    with server.running():
        page = opened(browser, f"{site}?url={server.url}")
        type_message(page, "Sing")
        reply = Reply(server, server.wait_for("user_message")["turn_id"])
        reply.audio(pcm[:half])
        until_sounding(page, 450)
    expect(page.locator(STATUS)).to_have_attribute("data-state", "reconnecting")
    page.screenshot(path=artifacts / "page-reconnecting.png")
    with server.running():
        server.wait_for("user_message", 2)
        reply.audio(pcm[half:])
        reply.end("la")
        server.wait_for("ack")
        expect(page.locator(STATUS)).to_have_attribute("data-state", "ready")
        until_sounding(page, 950)
        until_played(page)
        samples, sung = heard(page), samples_of(pcm)
        # Where audio came late there is silence; what sounds is the same.
        assert np.array_equal(samples[samples.nonzero()], sung[sung.nonzero()])
        page.context.close()


def test_without_a_network_it_waits_for_one_and_goes_on(
    open_page: Open, server: ScriptedServer, artifacts: Path
) -> None:
    page = open_page()
    page.context.set_offline(True)
    server.drop()
    expect(page.locator(STATUS)).to_have_attribute("data-state", "offline")
    expect(page.get_by_role("status")).to_contain_text("No network")
    page.screenshot(path=artifacts / "page-offline.png")
    type_message(page, "Meanwhile")
    assert server.types() == ["init"], "nothing is tried in vain"
    page.context.set_offline(False)
    assert server.wait_for("init", 2)["session_id"] == "s1"
    assert server.wait_for("user_message")["text"] == "Meanwhile"
    expect(page.locator(STATUS)).to_have_attribute("data-state", "ready")


@pytest.mark.parametrize("size", [(390, 844), (360, 640)])
def test_on_a_phone_nothing_sticks_out_while_it_reconnects(
    open_page: Open, server: ScriptedServer, artifacts: Path, size: tuple[int, int]
) -> None:
    page = open_page(viewport={"width": size[0], "height": size[1]})
    page.click("#link summary")
    server.refuse = True
    server.drop()
    expect(page.locator(f"{STATUS}[data-state=reconnecting] .count")).to_have_text(
        re.compile("of 5")
    )
    expect(page.get_by_role("alert")).to_be_visible()
    page.screenshot(path=artifacts / f"page-phone-reconnecting-{size[1]}.png")
    outside = page.evaluate(
        """() => [...document.querySelectorAll("header *, main *, footer *")]
            .filter((element) => element.checkVisibility())
            .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
            .filter(([, { left, right }]) => left < -0.5 || right > innerWidth + 0.5)
            .map(([html]) => html)"""
    )
    assert outside == []


def test_a_microphone_that_is_refused_is_photographed_with_its_sentence(
    open_page: Open, artifacts: Path
) -> None:
    page = open_page(microphone=False)
    page.hover("#hold")
    page.mouse.down()
    expect(page.get_by_role("alert")).to_contain_text("The microphone is not allowed")
    page.screenshot(path=artifacts / "page-microphone-refused.png")
    page.mouse.up()


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_token_that_has_expired_is_followed_by_a_fresh_one(
    open_page: Open, server: ScriptedServer, refusals: int
) -> None:
    page = open_page()
    server.accepted = "early"
    page.evaluate(
        """async ([url, stale]) => {
            const { Conversation } = await import("/client/index.js");
            const tokens = ["early", ...Array(stale).fill("early"), "late"];
            const token = () => tokens.shift();
            window.signedIn = new Conversation(url, { token, baseDelayMs: 10 });
            await window.signedIn.connect();
        }""",
        [server.url, refusals],
    )
    server.accepted = "late"
    server.drop()
    resumed = server.wait_for("init", 3)
    assert (resumed["session_id"], resumed["resume_token"]) == ("s1", "secret")
    page.wait_for_function("window.signedIn.state === 'ready'")
    assert server.offered == ["early"] * (1 + refusals) + ["late"]
    page.evaluate("window.signedIn.close()")
