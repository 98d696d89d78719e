"""Who is speaking: the same hash for the same session, and no name for a vendor."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx
import pytest

from parley.principal import ANONYMOUS, Principal
from parley.providers.llm import NOBODY, Speaker
from parley.providers.speaker import is_openai, is_vendor, make_speaker, speaker_headers

ANN = Principal("acme", "ann@example.org")
OWN = "https://chat.example.org/v1"
VENDOR = "https://api.openai.com/v1"
SESSION = ANN.session("01JSESSION")


def test_a_session_has_the_same_hash_in_every_turn() -> None:
    first, second = (make_speaker(SESSION, turn, "key") for turn in ("t1", "t2"))
    assert first.session == second.session
    assert re.fullmatch("[0-9a-f]{32}", first.session)
    assert (first.turn_id, second.turn_id) == ("t1", "t2")


def test_no_two_sessions_have_the_same_hash() -> None:
    refs = [
        SESSION,
        ANN.session("01JOTHER"),
        Principal("acme", "ben").session("01JSESSION"),
        Principal("acme2", "ann@example.org").session("01JSESSION"),
        # The same characters, cut in other places.
        Principal("a", "b/c").session("d"),
        Principal("a/b", "c").session("d"),
        Principal("a", "b").session("c/d"),
    ]
    hashes = {make_speaker(ref, "t", "key").session for ref in refs}
    assert len(hashes) == len(refs)


def test_a_hash_takes_the_key() -> None:
    speakers = [make_speaker(SESSION, "t", key) for key in ("key", "other", "")]
    assert len({speaker.session for speaker in speakers}) == 3
    assert len({speaker.pseudonym for speaker in speakers}) == 3


def test_a_user_has_one_pseudonym_in_all_sessions_and_it_is_no_session() -> None:
    first, second = (make_speaker(ANN.session(name), "t", "key") for name in ("s1", "s2"))
    assert first.pseudonym == second.pseudonym != ""
    assert first.pseudonym not in {first.session, second.session}
    other = make_speaker(Principal("acme2", ANN.subject).session("s1"), "t", "key")
    assert other.pseudonym != first.pseudonym


def test_a_name_that_can_be_guessed_is_not_hashed_without_a_key() -> None:
    assert make_speaker(SESSION, "t", "").pseudonym == ""


def test_nobody_is_named_where_authentication_is_off() -> None:
    speaker = make_speaker(ANONYMOUS.session("s"), "t", "key")
    assert (speaker.subject, speaker.tenant, speaker.pseudonym) == ("", "", "")
    assert speaker.session


def test_the_only_tenant_is_none() -> None:
    assert make_speaker(Principal(subject="ann").session("s"), "t", "key").tenant == ""


def test_an_endpoint_of_ones_own_is_told_who_it_is() -> None:
    speaker = make_speaker(SESSION, "t", "key")
    assert speaker_headers(speaker, OWN) == {
        "X-Parley-Session": speaker.session,
        "X-Parley-Turn": "t",
        "X-Parley-User": "ann@example.org",
        "X-Parley-Tenant": "acme",
    }


def test_a_vendor_is_told_a_pseudonym() -> None:
    speaker = make_speaker(SESSION, "t", "key")
    headers = speaker_headers(speaker, VENDOR)
    assert headers == {
        "X-Parley-Session": speaker.session,
        "X-Parley-Turn": "t",
        "X-Parley-User": speaker.pseudonym,
    }
    assert not re.search("ann|acme", repr(headers))


def test_what_is_not_known_has_no_header() -> None:
    assert speaker_headers(NOBODY, OWN) == {}
    assert speaker_headers(Speaker(session="s"), OWN) == {"X-Parley-Session": "s"}
    assert "X-Parley-User" not in speaker_headers(make_speaker(SESSION, "t", ""), VENDOR)


@pytest.mark.parametrize(
    "name",
    [
        "Zoë",
        "伊藤",
        "a b",
        "100%",
        "%41",
        "a\r\nX-Admin: 1",
        "\x00",
        "🦜",
        "a|b\"c'<d>{e}",
        "\ud83e",
    ],
)
def test_no_name_breaks_a_header(name: str) -> None:
    headers = speaker_headers(Speaker("s", "t", name, name), OWN)
    for header in ("X-Parley-User", "X-Parley-Tenant"):
        assert re.fullmatch("[!-~]+", headers[header])
        assert unquote(headers[header]) == name.encode(errors="replace").decode()
    httpx.Headers(headers).raw  # noqa: B018 - it raises


def test_the_longest_principal_has_a_short_header() -> None:
    headers = speaker_headers(Speaker("s", "t", "é" * 148), OWN)
    assert len(headers["X-Parley-User"]) <= 896


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://API.OPENAI.COM./v1", True),
        ("https://api.groq.com/openai/v1", True),
        ("https://generativelanguage.googleapis.com/v1beta/openai", True),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", True),
        ("https://bedrock-mantle.eu-west-1.api.aws/v1", True),
        ("https://name.openai.azure.com/openai/v1", True),
        ("https://api.anthropic.com", True),
        ("https://api.x.ai/v1", True),
        ("https://abc.execute-api.us-east-1.amazonaws.com/v1", False),
        ("https://abc.lambda-url.eu-west-1.on.aws/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://openai.com.example.org/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_who_is_a_vendor(url: str, vendor: bool) -> None:
    assert is_vendor(url) is vendor


def test_who_is_openai() -> None:
    assert is_openai("https://api.openai.com/v1")
    assert is_openai("https://us.api.openai.com/v1")
    assert not is_openai("https://name.openai.azure.com/openai/v1")
    assert not is_openai("https://openai.example.org/v1")
