"""The page's states, for tests that look at all of them: how it fits, and how accessible it is."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.page import type_message, until_sounding
from tests.browser.scripted import Message, Reply, ScriptedServer
from tests.browser.signals import tone

CHOICES: Message = {
    "settings": ["language", "record", "speed", "stability", "style", "voice"],
    "voices": [{"id": "21m00Tcm4TlvDq8ikWAM", "name": "Rachel"}, {"id": "b", "name": "Bill"}],
    "languages": ["en", "de", "fr"],
    "agents": ["concierge", "waiter"],
}
SETTINGS: Message = {
    "voice": "21m00Tcm4TlvDq8ikWAM",
    "language": "en",
    "speed": 1.0,
    "stability": 0.5,
    "style": "",
    "record": False,
}
STAND_INS = ["transcriber", "responder", "synthesizer"]
REPLY = "A story about the sea, and of what is heard of it only the beginning is."
WORDS = [[word, 90 * at, 90 * at + 80] for at, word in enumerate(REPLY.split())]


def _empty(page: Page, server: ScriptedServer) -> None:
    return


def _conversation(page: Page, server: ScriptedServer) -> None:
    """A typed turn that is over, and one that was cut off, unless the page has turns already."""
    if page.locator(".turn").count():
        return
    type_message(page, "What time is it?")
    first = Reply(server, server.wait_for("user_message")["turn_id"])
    first.text("It is a quarter to nine.\n\nIs there anything else?")
    first.end("It is a quarter to nine.")
    page.locator(".turn[data-state=done]").wait_for()
    type_message(page, "Tell me a story about the sea, a long one, with a storm in it.")
    second = Reply(server, server.wait_for("user_message", 2)["turn_id"])
    second.text(REPLY)
    second.audio(tone(440, 9, 24_000), words=WORDS, chunk_ms=1_000)
    until_sounding(page, 500)
    page.keyboard.press("Escape")
    server.wait_for("interrupt")
    second.end(REPLY, "interrupted", heard="A story about the sea,")
    page.locator(".turn[data-state=done]").nth(1).wait_for()


def _speaking(page: Page, server: ScriptedServer) -> None:
    """A reply that is being heard."""
    type_message(page, "Tell me a story about the sea.")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text(REPLY)
    reply.audio(tone(440, 30, 24_000), words=WORDS, chunk_ms=5_000)
    until_sounding(page, 500)


def _asked(page: Page, server: ScriptedServer, text: str) -> Reply:
    """A turn that waits for its reply."""
    number = len(server.of_type("user_message")) + 1
    type_message(page, text)
    reply = Reply(server, server.wait_for("user_message", number)["turn_id"])
    page.wait_for_selector("#stage[data-state=thinking]")
    return reply


def _thinking(page: Page, server: ScriptedServer) -> None:
    """Nothing of the reply is heard yet."""
    _asked(page, server, "What time is it?")


def _tools(page: Page, server: ScriptedServer) -> None:
    """Tools in each of their states; one of them is looked into."""
    reply = _asked(page, server, "Book a table for two at eight, and tell the cook.")
    book = {"call_id": "a", "name": "book_table", "title": "Book a table"}
    reply.send("tool", **book, state="done", ms=1100, arguments={"people": 2}, result='{"n": 4711}')
    reply.send("reply_text", delta="One moment. ", filler=True)
    states = ("running", "failed", "cancelled", "unknown")
    for state, name in zip(states, ("tell_cook", "find_table", "send_mail", "charge"), strict=True):
        took = {} if state == "running" else {"ms": 240}
        reply.send("tool", call_id=name, name=name, state=state, **took)
    page.locator(".call summary").click()


def _listening(page: Page, server: ScriptedServer) -> None:
    """Hands-free, while the user speaks."""
    page.click("#hands-free")
    server.wait_for("audio_start")
    page.wait_for_selector("#stage[data-state=listening]")


def _muted(page: Page, server: ScriptedServer) -> None:
    """The microphone is off."""
    page.click("#mute")
    page.wait_for_selector("#stage[data-state=muted]")


def _ended(page: Page, server: ScriptedServer) -> None:
    """The agent has hung up."""
    reply = _asked(page, server, "Goodbye.")
    reply.text("Goodbye, and until soon.")
    reply.end("Goodbye, and until soon.", ends_session=True)
    server.wait_for("end")
    server.send(type="session_ended", session_id="s1", reason="ended")
    page.wait_for_selector("#stage[data-state=ended]")


def _offline(page: Page, server: ScriptedServer) -> None:
    """There is no network."""
    _conversation(page, server)
    page.context.set_offline(True)
    page.wait_for_selector("#stage[data-state=offline]")


def _failed_turn(page: Page, server: ScriptedServer) -> None:
    """A turn that went wrong and can be tried again."""
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    sentence = "The language model is busy. Try again in a moment."
    reply.send("error", code="reply_failed", message=sentence, retryable=True)
    reply.end("", "failed", code="reply_failed", retryable=True)
    page.get_by_role("button", name="Try again").wait_for()


def _refused(page: Page, server: ScriptedServer) -> None:
    """The server has closed the connection for good."""
    _conversation(page, server)
    server.close(1008)
    page.locator("#notice").get_by_role("button", name="Try again").wait_for()


def _reconnecting(page: Page, server: ScriptedServer) -> None:
    """The connection is lost."""
    _conversation(page, server)
    server.refuse = True
    server.drop()
    page.wait_for_selector("#state[data-state=reconnecting]")
    page.locator("#notice").wait_for()


def _new_session(page: Page, server: ScriptedServer) -> None:
    """What was said before could not be gone on with."""
    _conversation(page, server)
    server.refused_session = "resume_denied"
    server.drop()
    page.locator(".divider").wait_for()


def _address(page: Page, server: ScriptedServer) -> None:
    """The address is looked at."""
    page.click("#link summary")


def _hint(page: Page, server: ScriptedServer) -> None:
    """The button was pressed for a moment."""
    # Both in one go: between two calls a busy machine lets so much time pass that it is talk.
    page.locator("#hold").evaluate(
        """(hold) => {
            for (const type of ["pointerdown", "pointerup"])
                hold.dispatchEvent(new PointerEvent(type, { button: 0, bubbles: true }));
        }"""
    )
    page.locator("#notice").wait_for()


def _question(page: Page, server: ScriptedServer) -> None:
    """A link leads to somewhere else."""
    page.goto(page.url.partition("?")[0] + "?url=ws://talk.example.long-name.evil.example:8080/dev")
    page.get_by_role("alertdialog").wait_for()


def show_tab(page: Page, tab: str) -> None:
    """Look at one part of the details."""
    if page.locator("#panel").is_hidden():
        page.click("#panel-toggle")
    page.get_by_role("tab", name=tab).click()
    if tab == "Events":
        page.locator("#events summary").nth(2).click()


def _panel(tab: str) -> Callable[[Page, ScriptedServer], None]:
    def show(page: Page, server: ScriptedServer) -> None:
        _conversation(page, server)
        show_tab(page, tab)

    return show


STATES: dict[str, Callable[[Page, ScriptedServer], None]] = {
    "empty": _empty,
    "conversation": _conversation,
    "thinking": _thinking,
    "speaking": _speaking,
    "listening": _listening,
    "muted": _muted,
    "tools": _tools,
    "ended": _ended,
    "offline": _offline,
    "failed turn": _failed_turn,
    "refused": _refused,
    "reconnecting": _reconnecting,
    "new session": _new_session,
    "address": _address,
    "hint": _hint,
    "question": _question,
    "events": _panel("Events"),
    "timing": _panel("Timing"),
    "settings": _panel("Settings"),
}

IN_ONE_PAGE = (
    ("empty", "muted", "address"),
    ("hint", "question"),
    ("failed turn", "speaking"),
    ("thinking", "tools", "ended"),
    ("listening", "offline"),
    ("conversation", "events", "timing", "settings"),
    ("new session", "reconnecting"),
    ("refused",),
)
"""Each state can follow the one before it."""


def prepare(server: ScriptedServer) -> None:
    """Have the server say everything that it may say of itself."""
    server.choices = CHOICES
    server.settings = SETTINGS
    server.stand_ins = STAND_INS
