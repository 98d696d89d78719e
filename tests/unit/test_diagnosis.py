"""Why a provider fails: told to whoever runs the deployment, through real servers, and never a
secret or what was said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import trustme

from parley.diagnosis import Diagnosis, Endpoint
from parley.errors import ProviderError
from parley.responders import Prompt
from parley.responders.openai_chat import OpenAIChat
from parley.settings import DEFAULT_SETTINGS
from parley.speech.elevenlabs_synthesizer import ElevenLabsSynthesizer
from parley.speech.elevenlabs_transcriber import ScribeTranscriber
from tests.unit.chat_server import Answer, endpoint, event, plain, stream
from tests.unit.speech_server import Peer, SpeechServer, closed_port, playing, stalled_port

KEY = "sk-proj-Tr0ub4dor-and-3"
WORDS = "ultramarine periwinkle"
TIMEOUT_S = 1.0
CHAT = Endpoint("reply_failed", "the chat endpoint", "https://h/v1", "m", "K", "U", "M")


async def key() -> str:
    return KEY


async def ask_llm(url: str) -> None:
    async with httpx.AsyncClient() as client:
        chat = OpenAIChat(client, url, "the-model", key, TIMEOUT_S)
        async for _ in chat.reply(Prompt("Be brief.", [], WORDS), lambda: None):
            pass


async def ask_tts(url: str) -> None:
    stream = await ElevenLabsSynthesizer(url, "the-model", key).open("pcm_24000", DEFAULT_SETTINGS)
    try:
        await stream.speak(WORDS)
        await stream.finish()
        async for _ in stream.pieces():
            pass
    finally:
        await stream.close()


async def ask_stt(url: str) -> None:
    transcriber = ScribeTranscriber(url, "the-model", key, TIMEOUT_S)
    stream = await transcriber.open("pcm_16000", "en", "manual")
    try:
        await stream.send(bytes(3200))
        await stream.finish()
        async for _ in stream.pieces():
            pass
    finally:
        await stream.close()


@dataclass(frozen=True)
class Called:
    """One of the three calls, and what its sentences name."""

    ask: Callable[[str], Awaitable[None]]
    code: str
    key_parameter: str
    url_parameter: str
    model_parameter: str


CALLS = {
    "llm": Called(ask_llm, "reply_failed", "LlmApiKey", "LlmBaseUrl", "LlmModel"),
    "tts": Called(ask_tts, "speech_failed", "ElevenLabsApiKey", "ElevenLabsBaseUrl", "SpeechModel"),
    "stt": Called(
        ask_stt,
        "transcription_failed",
        "ElevenLabsApiKey",
        "ElevenLabsBaseUrl",
        "TranscriptionModel",
    ),
}


async def failed(provider: str, url: str) -> ProviderError:
    """How a call fails."""
    called = CALLS[provider]
    with pytest.raises(ProviderError) as raised:
        await called.ask(url)
    error = raised.value
    assert (error.code, error.cause.provider) == (called.code, provider)
    for text in (error.message, json.dumps(error.cause.log_fields())):
        assert not any(secret in text for secret in (KEY, KEY[:8], KEY[-8:], *WORDS.split()))
    assert not any(name in error.message for name in ("Llm", "ElevenLabs", "API", "key"))
    return error


async def refused(
    provider: str,
    status: int,
    body: Any,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
) -> ProviderError:
    """How a call fails that a real server answers so."""
    raw = body if isinstance(body, str) else json.dumps(body)
    phrase = httpx.codes.get_reason_phrase(status) or "Odd"
    pairs = list(headers.items()) if isinstance(headers, dict) else headers or []
    if provider == "llm":
        async with endpoint(plain(f"{status} {phrase}", raw, pairs)) as server:
            return await failed(provider, server.url)
    async with playing() as speech:
        speech.refusal, speech.refusal_body = (status, pairs), raw.encode()
        return await failed(provider, speech.url)


# --- answers with a status ----------------------------------------------------------------


STATUSES: list[tuple[int, str, str, bool]] = [
    (301, "redirect", "refused", False),
    (400, "request", "refused", False),
    (401, "key", "unauthorized", False),
    (402, "quota", "refused", False),
    (403, "permission", "unauthorized", False),
    (404, "not_found", "refused", False),
    (405, "not_found", "refused", False),
    (408, "down", "unavailable", True),
    (413, "request", "refused", False),
    (422, "request", "refused", False),
    (429, "busy", "rate_limited", True),
    (500, "down", "unavailable", True),
    (502, "down", "unavailable", True),
    (503, "down", "unavailable", True),
    (504, "down", "unavailable", True),
]
BODIES = ["", "{}", "<html>Bad Gateway</html>", '{"error": "x y"}', '"x"', "[]", "[" * 9000, "null"]


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize(("status", "reason", "kind", "retryable"), STATUSES)
async def test_a_status_says_why(
    provider: str, status: int, reason: str, kind: str, retryable: bool
) -> None:
    if status == 301 and provider != "llm":
        pytest.skip("the WebSocket client follows a redirect itself")
    error = await refused(provider, status, BODIES[status % len(BODIES)])
    assert (error.kind, error.retryable) == (kind, retryable)
    assert (error.cause.reason, error.cause.status) == (reason, status)
    assert str(status) in error.cause.advice
    assert error.cause.host is not None
    assert error.cause.host.startswith("127.0.0.1:")


NAMED: list[tuple[str, int, Any, str, str, str | None, str | None]] = [
    ("OpenAI's wrong key", 401,
     {"error": {"message": f"Incorrect API key provided: {KEY}.", "type": "invalid_request_error",
                "param": None, "code": "invalid_api_key"}},
     "key", "unauthorized", "invalid_api_key", "invalid_request_error"),
    ("OpenAI's used-up quota", 429,
     {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                "param": None, "code": "insufficient_quota"}},
     "quota", "refused", "insufficient_quota", None),
    ("OpenAI's rate limit", 429,
     {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}},
     "busy", "rate_limited", "rate_limit_exceeded", "tokens"),
    ("OpenAI's missing model", 404,
     {"error": {"message": "The model `x` does not exist", "type": "invalid_request_error",
                "code": "model_not_found"}},
     "model", "refused", "model_not_found", "invalid_request_error"),
    ("Azure's filter", 400,
     {"error": {"message": WORDS, "code": "content_filter", "status": 400}},
     "filter", "filtered", "content_filter", None),
    ("too long a conversation", 400,
     {"error": {"message": WORDS, "type": "invalid_request_error",
                "code": "context_length_exceeded"}},
     "context", "refused", "context_length_exceeded", "invalid_request_error"),
    ("Gemini's list", 400,
     [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
     "request", "refused", "INVALID_ARGUMENT", None),
    ("Gemini's limit", 429,
     [{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}],
     "busy", "rate_limited", "RESOURCE_EXHAUSTED", None),
    ("Anthropic's overload", 529,
     {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"},
      "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"},
     "down", "unavailable", "overloaded_error", None),
    ("vLLM's missing model", 404,
     {"object": "error", "message": f"The model {WORDS} does not exist.", "type": "NotFoundError",
      "param": None, "code": 404},
     "not_found", "refused", "NotFoundError", None),
    ("FastAPI's 404", 404, {"detail": "Not Found"}, "not_found", "refused", None, None),
    ("Ollama's", 404, {"error": f"model '{WORDS}' not found"}, "not_found", "refused", None, None),
    ("ElevenLabs' wrong key", 401,
     {"detail": {"status": "invalid_api_key", "message": f"Invalid API key {KEY}"}},
     "key", "unauthorized", "invalid_api_key", None),
    ("ElevenLabs' used-up quota", 401,
     {"detail": {"status": "quota_exceeded", "message": "This request exceeds your quota."}},
     "quota", "refused", "quota_exceeded", None),
    ("ElevenLabs' current shape", 403,
     {"detail": {"type": "permission_error", "code": "insufficient_permissions", "message": "x",
                 "status": "insufficient_permissions", "request_id": "6c1d5e0f9a3b"}},
     "permission", "unauthorized", "insufficient_permissions", "permission_error"),
    ("ElevenLabs' missing voice", 404,
     {"detail": {"status": "voice_not_found", "message": f"A voice {WORDS} was not found."}},
     "voice", "refused", "voice_not_found", None),
    ("ElevenLabs' busy", 429,
     {"detail": {"status": "too_many_concurrent_requests", "message": "x"}},
     "busy", "rate_limited", "too_many_concurrent_requests", None),
    ("FastAPI's list", 422,
     {"detail": [{"loc": ["query", "model_id"], "msg": WORDS, "type": "value_error"}]},
     "request", "refused", "value_error", None),
]  # fmt: skip


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize(
    ("status", "body", "reason", "kind", "code", "type_"),
    [case[1:] for case in NAMED],
    ids=[case[0] for case in NAMED],
)
async def test_a_providers_own_name_for_it_is_kept_and_its_text_is_not(
    provider: str, status: int, body: Any, reason: str, kind: str, code: str, type_: str
) -> None:
    if provider != "llm" and status == 529:
        status = 503
    error = await refused(provider, status, body)
    cause = error.cause
    assert (cause.reason, error.kind, cause.status) == (reason, kind, status)
    assert (cause.provider_code, cause.provider_type) == (code, type_)


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x-request-id": "req_8f1"}, {}, "req_8f1"),
        ({"Request-Id": "6c1d5e0f"}, {}, "6c1d5e0f"),
        ({"cf-ray": "8f1aa2b3c4d5e6f7-FRA"}, {}, "8f1aa2b3c4d5e6f7-FRA"),
        ({"cf-ray": "8f1aa2b3", "x-request-id": "req_8f1"}, {}, "req_8f1"),
        ({"x-request-id": "req_8f1"}, {"detail": {"request_id": "in-the-body"}}, "in-the-body"),
        ({}, {"error": {}, "request_id": "req_011CS"}, "req_011CS"),
        ({}, {}, None),
        ({"x-request-id": KEY}, {"request_id": KEY[4:]}, None),
        ({"x-request-id": "has a space"}, {"request_id": 7}, None),
        ({"x-request-id": "x" * 200}, {"request_id": {"a": 1}}, None),
        ({"x-request-id": "periwinkle"}, {}, None),
    ],
)
async def test_the_requests_id_is_kept(
    provider: str, headers: dict[str, str], body: Any, found: str | None
) -> None:
    if provider != "llm" and headers.get("x-request-id") == "periwinkle":
        pytest.skip("nothing has been said when a handshake is answered")
    error = await refused(provider, 500, body, headers)
    assert error.cause.request_id == found


PRIVATE: list[Any] = [
    {"error": {"code": KEY, "type": KEY[3:]}},
    {"error": {"code": KEY.replace("-", "_"), "message": KEY}},
    {"error": {"code": f"bad_key_{KEY[-8:]}", "type": f"{KEY[:9]}..."}},
    {"error": KEY},
    {"detail": {"status": KEY, "code": KEY[8:]}},
    {"detail": KEY},
    {"error": {"code": "x" * 65, "type": "two words"}},
    {"error": {"code": ["a"], "type": {"b": 1}, "status": True}},
]


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("body", PRIVATE, ids=range(len(PRIVATE)))
async def test_a_key_that_is_sent_back_goes_no_further(provider: str, body: Any) -> None:
    error = await refused(provider, 401, body)
    assert (error.cause.provider_code, error.cause.provider_type) == (None, None)
    assert error.cause.reason == "key"


async def test_nor_does_a_word_of_the_user() -> None:
    error = await refused("llm", 400, {"error": {"code": "Periwinkle", "type": "ultramarine"}})
    assert (error.cause.provider_code, error.cause.provider_type) == (None, None)


PLAIN_KEY = "sk-AbCdEfGhIjKlMnOpQrStUvWx"


@pytest.mark.parametrize(
    "sent_back",
    [
        PLAIN_KEY.lower(),
        PLAIN_KEY.upper(),
        PLAIN_KEY.swapcase(),
        f"invalid_{PLAIN_KEY.lower()}",
        f"{PLAIN_KEY.upper()}_is_wrong",
        PLAIN_KEY.lower().replace("-", "_"),
        PLAIN_KEY.replace("-", ""),
        "key." + "-".join(PLAIN_KEY[3:].lower()),
        PLAIN_KEY.lower()[-8:],
        f"no_{PLAIN_KEY[9:16].upper()}",
    ],
)
@pytest.mark.parametrize("place", ["code", "id in the body", "id in a header"])
def test_a_key_goes_no_further_however_it_is_written(sent_back: str, place: str) -> None:
    error: dict[str, Any] = {"code": sent_back} if place == "code" else {}
    body = {"error": error, "request_id": sent_back if place == "id in the body" else 7}
    headers = {"x-request-id": sent_back} if place == "id in a header" else {}
    failed = Diagnosis(CHAT, PLAIN_KEY).refused(401, headers, json.dumps(body).encode())
    written = json.dumps(failed.cause.log_fields()).lower()
    assert sent_back.lower() not in written
    assert (failed.cause.provider_code, failed.cause.request_id) == (None, None)


SAID = "Note this: my password is Hunter Two, and I live in Rue de l'Église 9."


@pytest.mark.parametrize(
    "sent_back",
    [
        *("my_password_is_hunter_two", "my-password.is.hunter-two", "MyPasswordIsHunterTwo"),
        *("invalid_my_password_is_hunter_two", "hunter_two", "is_hunter_two_and_what", "Password"),
        *("blocked:my-password-is".replace(":", "_"), "x_HUNTERTWOANDILIVE_y"),
    ],
)
def test_words_of_the_user_go_no_further_however_they_are_written(sent_back: str) -> None:
    body = {"error": {"code": sent_back, "type": "odd_error"}, "request_id": sent_back}
    headers = {"x-request-id": sent_back}
    failed = Diagnosis(CHAT, "", ["Be brief.", SAID]).refused(
        400, headers, json.dumps(body).encode()
    )
    cause = failed.cause
    assert (cause.provider_code, cause.provider_type) == ("odd_error", None)
    assert cause.request_id is None


def test_a_name_and_an_id_that_share_little_with_what_was_said_are_kept() -> None:
    body = {"error": {"code": "password_policy"}, "request_id": "req_hunter_8f1aa2b3"}
    cause = Diagnosis(CHAT, KEY, [SAID]).refused(400, {}, json.dumps(body).encode()).cause
    assert (cause.provider_code, cause.request_id) == ("password_policy", "req_hunter_8f1aa2b3")


@pytest.mark.parametrize("word", ["Periwinkle", "ultramarine"])
async def test_nor_does_one_that_was_spoken(word: str) -> None:
    async def script(peer: Peer) -> None:
        while "flush" not in await peer.receive():
            pass
        await peer.send({"error": word, "message": WORDS, "code": 1008})

    async with playing(script) as server:
        assert (await failed("tts", server.url)).cause.provider_code is None


@pytest.mark.parametrize("provider", CALLS)
async def test_what_to_look_at_is_named(provider: str) -> None:
    called = CALLS[provider]
    asked = {
        401: called.key_parameter,
        402: called.key_parameter,
        404: called.url_parameter,
        405: called.model_parameter,
        422: called.model_parameter,
    }
    for status, parameter in asked.items():
        assert parameter in (await refused(provider, status, {})).cause.advice
    missing = await refused(provider, 404, {"error": {"code": "model_not_found"}})
    assert missing.cause.advice.startswith("No model 'the-model' at 127.0.0.1:")
    assert called.model_parameter in missing.cause.advice


# --- a host that is not there -------------------------------------------------------------


@pytest.mark.parametrize("provider", CALLS)
async def test_a_host_without_an_address(provider: str) -> None:
    error = await failed(provider, "http://no-such-host.invalid/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "host_not_found")
    parameter = CALLS[provider].url_parameter
    assert error.cause.advice == f"Host no-such-host.invalid not found: check {parameter}."


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nobody_listens(provider: str, host: str) -> None:
    port = closed_port()
    error = await failed(provider, f"http://user:{KEY}@{host}:{port}/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "connection_refused")
    assert error.cause.host == f"{host}:{port}"


@pytest.mark.parametrize("provider", CALLS)
async def test_a_host_that_takes_no_connection(provider: str) -> None:
    async with stalled_port() as port:
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "connect_timeout")


@contextlib.asynccontextmanager
async def tls_server() -> AsyncIterator[int]:
    """A server under a certificate of an authority that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("provider", CALLS)
async def test_a_certificate_of_nobody(provider: str) -> None:
    async with tls_server() as port:
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert error.cause.reason == "tls_failed"
    assert CALLS[provider].url_parameter in error.cause.advice


@pytest.mark.parametrize("provider", CALLS)
async def test_https_where_http_is_spoken(provider: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert error.cause.reason == "tls_failed"


@pytest.mark.parametrize("provider", CALLS)
async def test_what_is_no_http_at_all(provider: str) -> None:
    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read(10_000)
        writer.close()

    server = await asyncio.start_server(noise, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failed(provider, f"http://127.0.0.1:{port}/v1")
    assert error.cause.reason in ("no_protocol", "connection_lost")


# --- what goes wrong within an answer -------------------------------------------------------


IN_STREAM: list[tuple[str, Answer, str, str, int | None, str | None]] = [
    ("a name", stream('data: {"error": {"message": "x", "code": "insufficient_quota"}}\n\n'),
     "quota", "refused", None, "insufficient_quota"),
    ("a number", stream(event("Hi"), 'data: {"error": {"message": "x", "code": 429}}\n\n'),
     "busy", "rate_limited", 429, None),
    ("a number as text", stream('data: {"error": {"message": "x", "code": "503"}}\n\n'),
     "down", "unavailable", 503, None),
    ("text", stream('data: {"error": "out of memory"}\n\n'), "down", "unavailable", None, None),
    ("an event", stream('event: error\ndata: {"type": "overloaded_error"}\n\n'),
     "down", "unavailable", None, "overloaded_error"),
    ("in one piece", plain("200 OK", '{"error": {"code": "invalid_api_key"}}'),
     "key", "unauthorized", None, "invalid_api_key"),
    ("the key", stream(f'data: {{"error": {{"code": "{KEY}", "type": "{WORDS}"}}}}\n\n'),
     "down", "unavailable", None, None),
    ("vLLM's older shape",
     stream('data: {"object": "error", "message": "x", "type": "rate_limit_exceeded", '
            '"code": 429}\n\n'), "busy", "rate_limited", 429, "rate_limit_exceeded"),
    ("a list", plain("200 OK", '[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]'),
     "busy", "rate_limited", 429, "RESOURCE_EXHAUSTED"),
    ("a detail", stream('data: {"detail": "Model overloaded"}\n\n'),
     "down", "unavailable", None, None),
    ("text alone", plain("200 OK", "OK"), "no_protocol", "invalid", None, None),
    ("a page without a type", plain("200 OK", "<html><body>\n<p>Sign in</p>\n</body></html>"),
     "no_protocol", "invalid", None, None),
    ("another page", plain("200 OK", "<!doctype html>", Content_Type="text/html; charset=utf-8"),
     "no_protocol", "invalid", None, None),
    ("other JSON", plain("200 OK", '{"status": "ok"}'), "no_protocol", "invalid", None, None),
    ("nonsense", stream("data: nonsense\n\n"), "no_protocol", "invalid", None, None),
    ("the end", stream(event("Hi")), "connection_lost", "unavailable", None, None),
    ("silence", stream(event("Hi"), then="nothing"), "timeout", "timeout", None, None),
    ("a call of a tool",
     stream(event(delta={"tool_calls": [{"index": 0}]}), event(finish_reason="tool_calls")),
     "tool_call", "refused", None, None),
    ("nothing", stream(event(finish_reason="stop")), "empty", "empty", None, None),
    ("a thought that filled it", stream(event("<think>hm"), event(finish_reason="length")),
     "length", "empty", None, None),
    ("a filter", stream(event(finish_reason="content_filter")), "filter", "filtered", None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason", "kind", "status", "code"),
    [case[1:] for case in IN_STREAM],
    ids=[case[0] for case in IN_STREAM],
)
async def test_what_a_chat_endpoint_says_within_its_answer(
    answer: Answer, reason: str, kind: str, status: int | None, code: str | None
) -> None:
    async with endpoint(answer) as server:
        error = await failed("llm", server.url)
    cause = error.cause
    assert (cause.reason, error.kind) == (reason, kind)
    assert (cause.status, cause.provider_code) == (status, code)


async def test_a_model_that_calls_a_tool_gets_a_sentence_that_says_so() -> None:
    answer = stream(event(delta={"tool_calls": [{"index": 0}]}), event(finish_reason="tool_calls"))
    async with endpoint(answer) as server:
        error = await failed("llm", server.url)
    assert "Model 'the-model' called a function" in error.cause.advice
    assert "LlmModel" in error.cause.advice
    assert error.message == "The assistant cannot answer right now. Tell whoever runs this service."


FRAMES: list[tuple[str, str, str, str | None]] = [
    ("auth_error", "key", "unauthorized", "auth_error"),
    ("quota_exceeded", "quota", "refused", "quota_exceeded"),
    ("unaccepted_terms", "terms", "refused", "unaccepted_terms"),
    ("voice_not_found", "voice", "refused", "voice_not_found"),
    ("rate_limited", "busy", "rate_limited", "rate_limited"),
    ("something_new", "down", "unavailable", "something_new"),
    (KEY, "down", "unavailable", None),
    ("two words", "down", "unavailable", None),
]


async def told_by(provider: str, name: str, server: SpeechServer) -> ProviderError:
    """How a call fails when the service sends an error frame of this name."""

    async def script(peer: Peer) -> None:
        if provider == "tts":
            await peer.send({"error": name, "message": f"{WORDS} {KEY}", "code": 1008})
        else:
            await peer.send({"message_type": name, "error": f"{WORDS} {KEY}"})
        await peer.close(1008)

    server.script = script
    return await failed(provider, server.url)


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(("name", "reason", "kind", "code"), FRAMES)
async def test_an_error_frame_says_why(
    provider: str, name: str, reason: str, kind: str, code: str | None
) -> None:
    async with playing() as server:
        server.headers = {"request-id": "6c1d5e0f9a3b"}
        error = await told_by(provider, name, server)
    assert (error.cause.reason, error.kind, error.cause.provider_code) == (reason, kind, code)
    assert error.cause.request_id == "6c1d5e0f9a3b"


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(
    ("close", "why", "reason", "kind", "code"),
    [
        (1008, "", "closed", "unavailable", None),
        (1008, f"{WORDS} {KEY}", "closed", "unavailable", None),
        (1008, "invalid_api_key", "key", "unauthorized", "invalid_api_key"),
        (1008, "quota_exceeded", "quota", "refused", "quota_exceeded"),
        (1011, "internal", "closed", "unavailable", None),
    ],
)
async def test_a_close_says_why(
    provider: str, close: int, why: str, reason: str, kind: str, code: str | None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.close(close, why)

    async with playing(script) as server:
        error = await failed(provider, server.url)
    assert (error.cause.reason, error.kind, error.cause.close_code) == (reason, kind, close)
    assert error.cause.provider_code == code


@pytest.mark.parametrize("provider", ["tts", "stt"])
async def test_a_connection_that_breaks(provider: str) -> None:
    async def script(peer: Peer) -> None:
        peer.cut()

    async with playing(script) as server:
        error = await failed(provider, server.url)
    assert (error.kind, error.cause.reason) == ("unavailable", "connection_lost")


async def test_a_transcriber_that_never_begins() -> None:
    async with playing(lambda peer: peer.gone()) as server:
        error = await failed("stt", server.url)
    assert (error.kind, error.cause.reason) == ("unavailable", "timeout")


# --- headers that come more than once ---------------------------------------------------------


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("name", ["x-request-id", "X-Request-Id", "cf-ray"])
async def test_of_an_id_that_comes_twice_the_first_is_kept(provider: str, name: str) -> None:
    twice = [(name, "req_8f1aa2"), (name, "req_of_the_proxy"), ("Retry-After", "2")]
    error = await refused(provider, 503, {}, [*twice, ("retry-after", "9")])
    assert (error.cause.request_id, error.cause.status) == ("req_8f1aa2", 503)
    assert error.retry_after_ms == 2000


@pytest.mark.parametrize("provider", ["tts", "stt"])
async def test_headers_that_come_twice_break_no_handshake(provider: str) -> None:
    async with playing() as server:
        server.headers = [("request-id", "6c1d5e0f"), ("request-id", "9a3b9a3b"), ("Via", "1.1 a"),
                          ("Via", "1.1 b"), ("Retry-After", "1"), ("Retry-After", "2")]  # fmt: skip
        error = await told_by(provider, "rate_limited", server)
    assert (error.kind, error.cause.request_id) == ("rate_limited", "6c1d5e0f")


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(
    "headers",
    [
        [("Location", "/a"), ("Location", "/b")],
        [("Location", "http://[")],
        [("Location", "ftp://h/x")],
        [("Location", "wss://a..b/")],
        [("Content-Length", "2"), ("Content-Length", "3")],
    ],
    ids=str,
)
async def test_a_handshake_that_contradicts_itself_is_a_failure_of_the_provider(
    provider: str, headers: list[tuple[str, str]]
) -> None:
    assert (await refused(provider, 307, {}, headers)).kind in ("unavailable", "refused")


# --- the plain object -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        (f"https://user:{KEY}@host.example/v1?key={KEY}", "host.example"),
        ("nonsense", "LlmBaseUrl"),
        ("http://[x", "LlmBaseUrl"),
        ("http://x:port", "LlmBaseUrl"),
        ("", "LlmBaseUrl"),
    ],
)
def test_of_a_url_the_host_alone_is_named(url: str, host: str) -> None:
    chat = Endpoint("reply_failed", "the chat endpoint", url, "m", "K", "LlmBaseUrl", "M")
    assert chat.host == host
    error = Diagnosis(chat).refused(404, {}, b"")
    assert KEY not in error.cause.advice


@pytest.mark.parametrize("filler", ["x", "-", "no", ""])
def test_a_filler_in_place_of_a_key_hides_nothing(filler: str) -> None:
    chat = Endpoint("reply_failed", "it", "https://h", "m", "K", "U", "M")
    error = Diagnosis(chat, filler).refused(400, {}, b'{"error": {"code": "no-extra_field"}}')
    assert error.cause.provider_code == "no-extra_field"


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (409, "down", "unavailable"),
        (425, "down", "unavailable"),
        (498, "busy", "rate_limited"),
        (499, "request", "refused"),
        (410, "request", "refused"),
    ],
)
def test_a_status_that_passes_is_worth_another_try(status: int, reason: str, kind: str) -> None:
    error = Diagnosis(CHAT).refused(status, {}, b"")
    assert (error.cause.reason, error.kind) == (reason, kind)
    assert error.retryable == (kind != "refused")


DEEP = 5_000


def nested(value: Any, field: str, depth: int) -> Any:
    for _ in range(depth):
        value = {field: value}
    return value


@pytest.mark.parametrize("field", ["error", "detail"])
@pytest.mark.parametrize("depth", [1, 3, 8, 9, 100, DEEP])
def test_an_error_may_be_nested_as_deep_as_it_likes(field: str, depth: int) -> None:
    error = Diagnosis(CHAT).told(nested({"code": "insufficient_quota"}, field, depth))
    assert error.cause.reason == ("quota" if depth <= 8 else "down")
    both = nested({"error": [nested({}, field, depth)], "code": "rate_limit_exceeded"}, "error", 2)
    assert Diagnosis(CHAT).told(both).cause.reason == "busy"


def test_nor_does_a_body_of_such_an_error_matter() -> None:
    body = b'{"error":' * DEEP + b"{}" + b"}" * DEEP
    error = Diagnosis(CHAT).refused(503, {}, body)
    assert (error.cause.reason, error.cause.status) == ("down", 503)
