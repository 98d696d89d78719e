"""docs/extending.md's endpoint, which knows who is speaking, and a session that changes its
language: through the whole stack."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from parley.config import DEFAULT_SETTINGS
from parley.principal import Principal
from parley.providers.speaker import make_speaker
from tests.e2e.backend import client_of, token_for
from tests.e2e.http_api import NO_AUTHORITIES, url_of
from tests.e2e.raw import opened
from tests.e2e.stack import STANDIN_KEY, Stack, Standins, running_stack
from tests.e2e.test_extending import blocks, section
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(180)
GERMAN_VOICE = "pNInz6obpgDQGcFmaJgB"


@dataclass
class Asked:
    """What the endpoint of the page was asked.

    Attributes:
        requests: the headers and the body of each.
    """

    url: str
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    @property
    def speakers(self) -> list[dict[str, str]]:
        """Who spoke, by the headers."""
        return [
            {name: value for name, value in headers.items() if name.startswith("x-parley")}
            for headers, _ in self.requests
        ]


@contextmanager
def serving() -> Iterator[Asked]:
    """The page's endpoint, overheard."""
    (code,) = blocks(section("An endpoint of your own"), "python")
    page: dict[str, Any] = {"__name__": "endpoint"}
    exec(compile(code, "endpoint.py", "exec"), page)
    handler: Any = page["Endpoint"]
    asked = Asked("")

    class Overheard(handler):  # type: ignore[misc]  # a class that only the page has
        rfile: Any

        def do_POST(self) -> None:
            found = self.rfile
            body: bytes = found.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.requests.append((headers, json.loads(body)))

            class Again:
                def read(self, _size: int) -> bytes:
                    return body

            self.rfile = Again()
            try:
                super().do_POST()
            finally:
                self.rfile = found

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Overheard)
    asked.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Asked]:
    with serving() as asked:
        yield asked


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, standins: Standins, endpoint: Asked
) -> Iterator[Stack]:
    """A deployment with that endpoint, whose users are known and may speak any language."""
    parameters = {
        "AuthMode": "secret",
        "AuthTenantClaim": "org",
        "LlmBaseUrl": endpoint.url,
        "LanguageDetection": "on",
        "LanguageVoices": f"de={GERMAN_VOICE}",
    }
    folder = tmp_path_factory.mktemp("own_endpoint")
    standins.reset()
    with running_stack(folder, parameters=parameters, standins=standins) as running:
        yield running
    standins.reset()


def session_key(stack: Stack) -> str:
    """The key that the template has made."""
    manager = client_of("secretsmanager", stack)
    (name,) = [
        each["Name"] for each in manager.list_secrets()["SecretList"] if "Provider" in each["Name"]
    ]
    return str(json.loads(manager.get_secret_value(SecretId=name)["SecretString"])["session_key"])


async def test_the_endpoint_knows_user_and_session_over_turns_and_a_reconnect(
    stack: Stack, endpoint: Asked
) -> None:
    endpoint.requests.clear()
    token = token_for(stack, "ann@example.org", org="Zürich")
    async with opened(stack.url, token=token) as client:
        first = await client.say("One?", "t1")
        second = await client.say("Two?", "t2")
        kept = {name: client.ready[name] for name in ("session_id", "resume_token")}
    async with opened(stack.url, token=token, **kept) as again:
        assert again.ready["resumed"] is True
        third = await again.say("Three?", "t3")
    async with opened(stack.url, token=token) as other:
        fourth = await other.say("Four?", "t1")
    texts = [reply.text for reply in (first, second, third, fourth)]
    assert texts == [
        "You have ordered a red kettle. This is question 1: One?",
        "You have ordered a red kettle. This is question 2: Two?",
        "You have ordered a red kettle. This is question 3: Three?",
        "You have ordered a red kettle. This is question 1: Four?",
    ]
    one, _, _, another = speakers = endpoint.speakers
    principal = Principal("Zürich", "ann@example.org")
    wanted = make_speaker(principal.session(kept["session_id"]), "t1", session_key(stack))
    assert one == {
        "x-parley-session": wanted.session,
        "x-parley-turn": "t1",
        "x-parley-user": "ann@example.org",
        "x-parley-tenant": "Z%C3%BCrich",
    }
    assert [each["x-parley-session"] == wanted.session for each in speakers] == [
        *[True] * 3,
        False,
    ]
    assert re.fullmatch("[0-9a-f]{32}", another["x-parley-session"])
    assert [each["x-parley-turn"] for each in speakers] == ["t1", "t2", "t3", "t1"]
    for headers, body in endpoint.requests:
        everything = f"{headers}{body}"
        assert kept["session_id"] not in everything, "it is half of what resumes the session"
        assert kept["resume_token"] not in everything
        assert headers["authorization"] == f"Bearer {STANDIN_KEY}"
        assert not body.keys() & {"user", "metadata", "safety_identifier"}


async def test_who_speaks_is_in_no_log(stack: Stack) -> None:
    token = token_for(stack, "carol@example.org", org="acme")
    async with opened(stack.url, token=token) as client:
        await client.say("Hello?")
        hashed = make_speaker(
            Principal("acme", "carol@example.org").session(client.ready["session_id"]),
            "t",
            session_key(stack),
        )
    await until(lambda: client.ready["session_id"] in stack.logs())  # the turn is reported
    logs = stack.logs()
    for secret in ("carol@example.org", hashed.session, hashed.pseudonym, session_key(stack)):
        assert secret not in logs


def spoken_in(stack: Stack) -> list[tuple[str, str]]:
    """The language and the voice of every stream of speech that had words, in order."""
    return [
        (record["query"]["language_code"][0], record["path"].split("/")[3])
        for record in stack.elevenlabs.requests()
        if record["path"].endswith("/multi-stream-input")
        and any(entry["frame"].get("flush") for entry in record["frames"])
    ]


async def test_a_session_changes_its_language_in_the_middle(
    stack: Stack, endpoint: Asked, speech: Callable[[str], bytes]
) -> None:
    endpoint.requests.clear()
    stack.elevenlabs.reset()
    token = token_for(stack, "ben@example.org", org="acme")
    pcm = speech("What time is it?")
    async with opened(stack.url, token=token) as client:
        assert client.ready["choices"]["detects_language"] is True
        first = await client.speak(pcm, "t1")
        # The stand-in's ear knows English words alone: it is told that they are German ones.
        stack.elevenlabs.put(oddities={"stt_language": "de"})
        second = await client.speak(pcm, "t2")
        third = await client.say("And typed?", "t3")
        kept = {name: client.ready[name] for name in ("session_id", "resume_token")}
    async with opened(stack.url, token=token, **kept) as again:
        assert again.ready["settings"]["language"] == "de"
        assert again.ready["settings"]["voice"] == GERMAN_VOICE
        history = [message.get("language") for message in again.ready["history"]]
    languages = ["en", "de", "de"]
    assert [reply.end["language"] for reply in (first, second, third)] == languages
    heard = [
        event["language"]
        for reply in (first, second)
        for event in reply.events
        if event["type"] == "transcript" and event["final"]
    ]
    assert heard == ["en", "de"]
    assert history == [each for each in languages for _ in range(2)]
    voices = [DEFAULT_SETTINGS.voice, GERMAN_VOICE, GERMAN_VOICE]
    assert spoken_in(stack) == list(zip(languages, voices, strict=True))
    instructions = [body["messages"][0]["content"] for _, body in endpoint.requests]
    assert ["'en'" in instructions[0], "'de'" in instructions[1]] == [True, True]
    assert "ISO 639" not in instructions[2]

    url = f"{url_of(stack)}/sessions/{kept['session_id']}"
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, headers=headers, timeout=30) as http:
        view = (await http.get(url)).json()
        captions = (await http.get(url, params={"format": "vtt"})).text
    assert [message["language"] for message in view["messages"]] == history
    assert captions.count("<lang en>") >= 2
    assert captions.count("<lang de>") >= 4
