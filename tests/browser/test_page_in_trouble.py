"""The page in a real browser while the network or the server gives out, or refuses it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.page import heard, type_message, until_played, until_sounding
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import samples_of, tone

STATUS = "#state"


def test_a_lost_connection_comes_back_and_nothing_is_lost_or_doubled(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    turn_id = server.wait_for("user_message")["turn_id"]
    reply = Reply(server, turn_id)
    pcm = tone(440, 1, 24_000)
    half = len(pcm) // 2
    first = reply.event("reply_text", delta="Good ")
    server.send(**first)
    reply.audio(pcm[:half], chunk_ms=1_000)
    expect(page.locator(".reply")).to_contain_text("Good")
    until_sounding(page, 100)
    server.drop()
    resumed = server.wait_for("init", 2)
    assert (resumed["session_id"], resumed["resume_token"]) == ("s1", "secret")
    assert resumed["received"] == {"turn_id": turn_id, "seq": 2}
    assert server.wait_for("user_message", 2)["turn_id"] == turn_id, "said again: it costs nothing"
    server.send(**first)  # and what comes twice is shown once
    reply.text("day.")
    reply.audio(pcm[half:], chunk_ms=1_000)
    reply.end("Good day.")
    server.wait_for("ack")
    expect(page.get_by_role("status")).to_have_text("Connected")
    expect(page.locator(".reply")).to_have_text("Good day.")
    until_sounding(page, 950)
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(1_000, abs=0.1)


def test_what_is_typed_without_a_connection_is_said_as_soon_as_there_is_one(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.refuse = True
    server.drop()
    expect(page.get_by_role("status")).to_contain_text("Reconnecting")
    type_message(page, "Meanwhile")
    expect(page.locator(".said")).to_have_text("Meanwhile")
    server.refuse = False
    assert server.wait_for("user_message")["text"] == "Meanwhile"
    expect(page.get_by_role("status")).to_have_text("Connected")


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


def test_on_a_phone_nothing_sticks_out_while_it_reconnects(
    open_page: Open, server: ScriptedServer, artifacts: Path
) -> None:
    page = open_page(viewport={"width": 390, "height": 844})
    page.click("#link summary")
    server.refuse = True
    server.drop()
    for width, height in ((390, 844), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator(f"{STATUS}[data-state=reconnecting] .count")).to_have_text(
            re.compile("of 5")
        )
        expect(page.get_by_role("alert")).to_be_visible()
        page.screenshot(path=artifacts / f"page-phone-reconnecting-{height}.png")
        outside = page.evaluate(
            """() => [...document.querySelectorAll("header *, main *, footer *")]
                .filter((element) => element.checkVisibility())
                .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
                .filter(([, { left, right }]) => left < -0.5 || right > innerWidth + 0.5)
                .map(([html]) => html)"""
        )
        assert outside == [], f"{width} pixels"


def test_a_connection_that_is_refused_for_good_is_seen_and_can_be_made_again(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    server.wait_for("user_message")
    server.close(1008)
    expect(page.get_by_role("status")).to_have_text("Not connected")
    expect(page.get_by_role("alert")).to_contain_text("does not allow this connection")
    expect(page.locator(".turn .problem")).to_contain_text("before the reply was complete")
    for control in ("#hold", "#text", "#say", "#interrupt", "#hands-free"):
        expect(page.locator(control)).to_be_disabled()
    page.click("#link summary")
    page.click("#connect")
    expect(page.get_by_role("status")).to_have_text("Connected")
    type_message(page, "Again")
    server.wait_for("user_message", 2)


def test_an_address_that_does_not_answer_is_a_sentence_and_can_be_mended(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url=ws://127.0.0.1:9/dev", ready=False)
    expect(page.get_by_role("alert")).to_contain_text("Is the address right")
    page.fill("#url", server.url)
    page.press("#url", "Enter")
    expect(page.get_by_role("status")).to_have_text("Connected")
    page.goto(site)
    expect(page.get_by_role("status")).to_have_text("Connected")
    assert page.input_value("#url") == server.url, "it is remembered"


def test_an_address_that_came_with_a_link_is_not_remembered(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url={server.url}")
    page.goto(site)
    assert page.input_value("#url") == page.evaluate("`ws://${location.host}/dev`")
    assert server.types() == ["init"]


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
    refused = re.compile("the token may have expired", re.IGNORECASE)
    expect(page.locator("body")).to_contain_text(refused, timeout=20_000)


HURRY = """
    Math.random = () => 0.01;
    const wait = window.setTimeout;
    // Only what is tried now and then, after 30 to 45 s: no heartbeat, and no fresh connection.
    const isNowAndThen = (ms) => 30_000 <= ms && ms <= 45_000;
    window.setTimeout = (act, ms, ...more) => wait(act, isNowAndThen(ms) ? 300 : ms, ...more);
"""


def gives_up(page: Page, server: ScriptedServer) -> None:
    """Every attempt of the client's has failed."""
    server.refuse = True
    server.drop()
    # Back-off with jitter: half a minute at most.
    page.wait_for_selector("#state[data-state=failed]", timeout=40_000)


def test_after_the_last_attempt_there_is_a_button_and_what_was_said_is_still_there(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script="Math.random = () => 0.01")
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("Hello!")
    reply.end("Hello!")
    server.wait_for("ack")
    gives_up(page, server)
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("now and then")
    host = page.evaluate("location.host")
    expect(notice).to_contain_text(host)
    expect(notice).not_to_contain_text("ws://")
    again = page.get_by_role("button", name="Try again")
    server.refuse = False
    again.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Connected")
    expect(page.locator("#notice")).to_be_hidden()
    assert page.evaluate("document.activeElement !== document.body"), "the place is not lost"
    resumed = server.of_type("init")[-1]
    assert resumed["session_id"] == "s1"
    expect(page.locator(".reply")).to_have_text("Hello!")


def test_after_the_last_attempt_it_goes_on_trying_as_long_as_somebody_looks(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script=HURRY)
    gives_up(page, server)
    page.evaluate(
        """() => {
            window.failures = 0;
            const state = document.querySelector("#state");
            new MutationObserver(() => (window.failures += state.dataset.state === "failed"))
                .observe(state, { attributes: true });
        }"""
    )
    tried = server.handshakes
    page.wait_for_function("window.failures >= 2", timeout=30_000)
    assert server.handshakes > tried + 1
    server.refuse = False
    expect(page.get_by_role("status")).to_have_text("Connected", timeout=15_000)


def test_nobody_who_looks_away_is_tried_for_and_who_comes_back_is_at_once(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script="Math.random = () => 0.01")
    gives_up(page, server)
    server.refuse = False
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("status")).to_have_text("Connected", timeout=10_000)


def test_what_is_refused_for_good_is_not_tried_again_by_itself(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.close(1008)
    expect(page.get_by_role("alert")).to_contain_text("does not allow this connection")
    expect(page.get_by_role("alert")).not_to_contain_text("now and then")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_have_text("Connected")
    assert server.handshakes == 2


def test_the_address_that_was_typed_is_the_one_that_is_named(
    opened: Open, browser: Browser, site: str
) -> None:
    page = opened(browser, site, ready=False)
    page.wait_for_selector("#link[open]")
    page.fill("#url", "ws://nowhere.invalid/dev")
    page.press("#url", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("ws://nowhere.invalid/dev")


def test_what_is_no_address_is_told_as_such(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.click("#link summary")
    page.fill("#url", "//evil.example")
    page.press("#url", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("begins with wss://")
    expect(page.get_by_role("status")).to_have_text("Connected")
    assert server.handshakes == 1


def test_a_lost_session_is_a_line_that_stays(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "My name is Alice.")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("Hello Alice.")
    reply.end("Hello Alice.")
    server.wait_for("ack")
    server.refused_session = "resume_denied"
    server.drop()
    line = page.locator(".divider")
    sentence = "The conversation before this could not be continued. This is a new one."
    expect(line).to_have_text(sentence)
    expect(page.get_by_role("status")).to_have_text("Connected")
    type_message(page, "Who am I?")
    reply = Reply(server, server.wait_for("user_message", 2)["turn_id"])
    reply.text("I do not know.")
    reply.end("I do not know.")
    expect(page.locator("#turns > li")).to_have_text(
        [re.compile("Alice"), sentence, re.compile("I do not know")]
    )
    expect(page.locator("#notice")).to_be_hidden()


def test_what_is_said_again_after_a_loss_is_below_the_line(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("Hel")
    expect(page.locator(".reply")).to_have_text("Hel")
    server.refused_session = "session_not_found"
    server.drop()
    expect(page.locator("#turns > li")).to_have_count(2)
    expect(page.locator("#turns > li").first).to_contain_text("This is a new one.")


def test_a_session_that_is_lost_over_a_reload_is_told_too(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.refused_session = "session_not_found"
    page.reload()
    expect(page.locator(".divider")).to_contain_text("could not be continued")


def test_a_first_session_and_one_that_goes_on_have_no_line(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    server.wait_for("user_message")
    server.drop()
    server.wait_for("user_message", 2)
    page.reload()
    page.wait_for_selector("#state[data-state=ready]")
    expect(page.locator(".divider")).to_have_count(0)


def test_a_session_that_goes_on_elsewhere_can_be_taken_back(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.send(type="session_ended", session_id="s1", reason="replaced")
    expect(page.get_by_role("alert")).to_contain_text("goes on in another place")
    page.locator("#notice").get_by_role("button", name="Connect").click()
    assert server.wait_for("init", 2)["session_id"] == "s1"
    expect(page.get_by_role("status")).to_have_text("Connected")


def test_a_stand_in_is_called_one_for_as_long_as_it_is(
    open_page: Open, server: ScriptedServer
) -> None:
    server.stand_ins = ["responder", "synthesizer"]
    page = open_page()
    note = "Voice and answers are stand-ins for development."
    expect(page.get_by_role("note")).to_have_text(note)
    type_message(page, "Hello")
    server.wait_for("user_message")
    expect(page.get_by_role("note")).to_be_visible()
    server.stand_ins = None
    server.drop()
    server.wait_for("init", 2)
    expect(page.get_by_role("note")).to_be_hidden()


def test_whoever_was_somewhere_when_the_connection_fails_is_not_put_elsewhere(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script="Math.random = () => 0.01")
    focused = "document.querySelector('#compose').contains(document.activeElement)"
    for number, control in enumerate(("#text", "#hold", "#hands-free", "#say"), 1):
        draft = f"half a sen, at {control}"
        page.fill("#text", draft)
        page.focus(control)
        gives_up(page, server)
        assert page.evaluate(focused), control
        expect(page.locator("#text")).to_have_value(draft)
        expect(page.locator("#text")).not_to_be_editable()
        page.keyboard.press("Enter")
        page.keyboard.type("x")
        expect(page.locator("#text")).to_have_value(draft)
        server.refuse = False
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status")).to_have_text("Connected")
        page.press("#text", "Enter")
        said = server.wait_for("user_message", number)
        assert said["text"] == draft
        Reply(server, said["turn_id"]).end("")
        server.wait_for("ack", number)


def test_what_is_tried_now_and_then_is_not_read_out_each_time_and_changes_no_control(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script=HURRY)
    gives_up(page, server)
    page.evaluate(
        """() => {
            window.changes = [];
            window.failures = 0;
            const state = document.querySelector("#state");
            new MutationObserver(() => (window.failures += state.dataset.state === "failed"))
                .observe(state, { attributes: true });
            const observed = { subtree: true, childList: true, characterData: true,
                attributes: true, attributeOldValue: true,
                attributeFilter: ["hidden", "disabled", "readonly", "aria-disabled"] };
            const observer = new MutationObserver((records) => {
                for (const { target, attributeName, oldValue } of records) {
                    if (attributeName && target.getAttribute(attributeName) === oldValue) continue;
                    window.changes.push(`${target.id} ${attributeName ?? "text"}`);
                }
            });
            for (const id of ["notice", "compose"])
                observer.observe(document.getElementById(id), observed);
        }"""
    )
    page.wait_for_function("window.failures >= 2", timeout=30_000)
    assert page.evaluate("window.changes") == []
