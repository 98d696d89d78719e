"""The settings of the page: lists of what may be chosen, and nothing that is not in force.

All that servers may say of choices and of what they refuse is in client/js/test/page-*.test.js.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.page import type_message
from tests.browser.page_states import CHOICES, SETTINGS, prepare
from tests.browser.scripted import Reply, ScriptedServer

LABELS = {
    "voice": "Voice",
    "language": "Language",
    "style": "Style",
    "speed": "Speed",
    "stability": "Stability",
    "record": "Recording is allowed",
}


def read_settings(open_page: Open) -> Page:
    page = open_page()
    page.click("#panel-toggle")
    page.get_by_role("tab", name="Settings").click()
    return page


def refuse(server: ScriptedServer, field: str, code: str = "bad_request") -> None:
    text = f"{field}: expected text matching '^[a-z]{{2,3}}$(?!\\n)'"
    server.send(type="error", code=code, message=text, field=field, retryable=False)


def test_only_what_may_be_set_is_shown(open_page: Open, server: ScriptedServer) -> None:
    prepare(server)
    allowed = ["speed", "voice"]
    server.choices = {**CHOICES, "settings": allowed}
    page = read_settings(open_page)
    for name, label in LABELS.items():
        control = page.get_by_label(label, exact=True)
        if name in allowed:
            expect(control).to_be_visible()
        else:
            expect(control).to_be_hidden()
    expect(page.get_by_role("heading", name="Replies")).to_have_count(1)


def test_voices_and_languages_are_lists_of_names(open_page: Open, server: ScriptedServer) -> None:
    prepare(server)
    page = read_settings(open_page)
    voice, language = page.get_by_label("Voice"), page.get_by_label("Language")
    expect(voice.locator("option")).to_have_text(["Rachel", "Bill"])
    expect(voice).to_have_value("21m00Tcm4TlvDq8ikWAM")
    expect(language.locator("option")).to_have_text(["English", "French", "German"])
    voice.select_option("Bill")
    assert server.wait_for("config")["settings"] == {"voice": "b"}
    language.select_option("German")
    assert server.wait_for("config", 2)["settings"] == {"language": "de"}
    page.get_by_label("Recording is allowed").check()
    assert server.wait_for("config", 3)["settings"] == {"record": True}


def test_what_is_in_force_is_shown_also_if_it_may_not_be_chosen(
    open_page: Open, server: ScriptedServer
) -> None:
    prepare(server)
    server.settings = {**SETTINGS, "voice": "of-the-deployment", "language": "it"}
    page = read_settings(open_page)
    expect(page.get_by_label("Voice")).to_have_value("of-the-deployment")
    expect(page.get_by_label("Voice").locator("option:checked")).to_have_text("As it is")
    expect(page.get_by_label("Language").locator("option:checked")).to_have_text("Italian")


def test_a_server_that_lists_nothing_is_offered_what_every_server_takes(
    open_page: Open, server: ScriptedServer
) -> None:
    page = read_settings(open_page)
    expect(page.get_by_label("Voice")).to_be_hidden()
    page.get_by_label("Language").select_option("German")
    assert server.wait_for("config")["settings"] == {"language": "de"}


@pytest.mark.parametrize(
    ("label", "wrong", "right", "sentence"),
    [
        ("Voice", "b", "21m00Tcm4TlvDq8ikWAM", "That voice is not available here."),
        ("Speed", "1.2", "1", "The speed cannot be set to that here."),
    ],
)
def test_what_is_refused_does_not_stay_and_is_a_sentence(
    label: str,
    wrong: str,
    right: str,
    sentence: str,
    open_page: Open,
    server: ScriptedServer,
) -> None:
    prepare(server)
    page = read_settings(open_page)
    field = page.get_by_label(label, exact=True)
    if label == "Voice":
        field.select_option(wrong)
    else:
        field.fill(wrong)
        field.blur()
    server.wait_for("config")
    field.focus()
    refuse(server, f"config.settings.{label.lower()}")
    expect(page.get_by_role("alert")).to_have_text(f"{sentence} It stays as it was.")
    expect(field).to_have_value(right)


def test_a_refusal_does_not_take_back_what_was_chosen_since(
    open_page: Open, server: ScriptedServer
) -> None:
    prepare(server)
    page = read_settings(open_page)
    page.get_by_label("Voice").select_option("Bill")
    page.get_by_label("Language").select_option("German")
    server.wait_for("config", 2)
    refuse(server, "config.settings.voice")
    expect(page.get_by_label("Voice")).to_have_value("21m00Tcm4TlvDq8ikWAM")
    expect(page.get_by_label("Language")).to_have_value("de")
    server.send(type="config_updated", settings={**SETTINGS, "language": "de"})
    expect(page.get_by_label("Language")).to_have_value("de")


@pytest.mark.parametrize(
    ("field", "is_named"), [("config.settings.language", True), ("user_message.turn_id", False)]
)
def test_no_field_error_of_the_protocol_reaches_a_person(
    field: str, is_named: bool, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    text = f"{field}: expected text matching '^[a-z]'"
    more = {"field": field} if is_named else {}
    server.send(type="error", code="bad_request", message=text, retryable=False, **more)
    expect(page.get_by_role("alert")).to_contain_text(".")
    shown = page.inner_text("body")
    assert "expected" not in shown
    assert f"{field}:" not in shown


def test_nor_does_one_in_a_turn(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    text = "user_message.text: expected no control characters"
    reply.send(
        "error", code="bad_request", message=text, field="user_message.text", retryable=False
    )
    reply.end("", "failed")
    expect(page.locator(".turn .problem")).to_have_text("That message cannot be sent like this.")


def test_what_answers_something_that_nobody_asked_for_is_not_told(
    open_page: Open, server: ScriptedServer
) -> None:
    field = "interrupt.turn_id"
    page = open_page()
    server.send(
        type="error",
        code="bad_request",
        message=f"{field}: this session has no turn 't-1'",
        field=field,
        retryable=False,
    )
    server.send(type="config_updated", settings={"stability": 0.8})
    page.wait_for_function("document.querySelector('#stability').value === '0.8'")
    expect(page.locator("#notice")).to_be_hidden()
    page.click("#panel-toggle")
    expect(page.locator("#events")).to_contain_text(field)


@pytest.mark.parametrize("refused", [{"voice"}, {"voice", "speed"}])
def test_a_setting_of_before_that_a_new_session_refuses_is_forgotten(
    refused: set[str], open_page: Open, server: ScriptedServer
) -> None:
    prepare(server)
    page = read_settings(open_page)
    page.get_by_label("Language").select_option("German")
    server.wait_for("config")
    merge_settings = {**SETTINGS, "voice": "b", "language": "de"}
    server.send(type="config_updated", settings=merge_settings)
    expect(page.get_by_label("Voice")).to_have_value("b")
    server.refused_settings = refused
    server.refused_session = "session_not_found"
    server.drop()
    page.wait_for_selector("#notice[data-kind=hint]")
    expect(page.get_by_role("alert")).to_have_text(
        "A setting that you chose earlier is not available here any more."
    )
    expect(page.get_by_role("status").first).to_have_text("Connected")
    taken = server.of_type("init")[-1]["settings"]
    assert taken == {name: value for name, value in merge_settings.items() if name not in refused}
    expect(page.get_by_label("Voice")).to_have_value("21m00Tcm4TlvDq8ikWAM")


def test_a_server_that_refuses_every_session_for_its_settings_is_not_hammered(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    server.refuses_all_settings = True
    page = opened(browser, f"{site}?url={server.url}", ready=False)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("does not understand this page")
    tried = server.handshakes
    assert tried == 1
    page.get_by_role("button", name="Try again").click()
    server.wait_for("init", 2)
    expect(page.locator("#state")).to_have_attribute("data-state", "failed")
    assert server.handshakes == tried + 1


NOT_UNDERSTOOD = "The server does not understand this page. Reload it: one of the two may be newer."


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        ("bad_request", "config.größe: unknown", NOT_UNDERSTOOD),
        (
            "bad_request",
            "config.settings.größe: unknown",
            "That setting is not available here. It stays as it was.",
        ),
        ("internal", "error: the model said no", "error: the model said no"),
    ],
)
def test_a_text_without_a_field_is_a_sentence_to_a_person(
    code: str, text: str, sentence: str, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.send(type="error", code=code, message=text, retryable=False)
    expect(page.get_by_role("alert")).to_have_text(sentence)


@pytest.mark.parametrize(("text", "is_of_a_turn"), [(None, False), ({}, True)])
def test_a_problem_without_a_text_is_a_sentence_all_the_same(
    text: object, is_of_a_turn: bool, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    said = {"code": "internal", "message": text, "retryable": False}
    if is_of_a_turn:
        type_message(page, "Hello")
        Reply(server, server.wait_for("user_message")["turn_id"]).send("error", **said)
    else:
        server.send(type="error", **said)
    shown = page.locator(".turn .problem") if is_of_a_turn else page.get_by_role("alert")
    expect(shown).to_have_text("The server refuses, and does not say why.")


def test_choices_that_make_no_sense_leave_the_page_whole(
    open_page: Open, server: ScriptedServer
) -> None:
    none: list[object] = [None, 7, "Rachel", {}]
    server.choices = {"settings": [None, 7], "voices": none, "languages": [None, 7, ""]}
    server.settings = {"speed": 1.1}
    page = read_settings(open_page)
    expect(page.get_by_label("Voice")).to_be_hidden()
    expect(page.locator("#speed")).to_have_value("1.1")
    page.get_by_role("tab", name="Events").click()
    page.keyboard.press("Escape")
    type_message(page, "Hello")
    server.wait_for("user_message")


def test_a_speed_beyond_what_can_be_chosen_is_shown_as_it_is(
    open_page: Open, server: ScriptedServer
) -> None:
    server.settings = {"speed": 1.5}
    page = read_settings(open_page)
    expect(page.locator("output[for=speed]")).to_have_text("1.5")
    server.send(type="config_updated", settings={"speed": 0.5})
    expect(page.locator("output[for=speed]")).to_have_text("0.5")
    server.send(type="config_updated", settings={"speed": 1})
    expect(page.locator("#speed")).to_have_attribute("max", "1.2")
    expect(page.locator("#speed")).to_have_attribute("min", "0.7")
