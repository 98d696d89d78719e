"""The chat stand-in: OpenAI's protocol, its delays and its faults."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from standins_tests.conftest import KEY, Standin

PATH = "/v1/chat/completions"
HEADERS = {"Authorization": f"Bearer {KEY}"}


def asked(text: str = "What is two plus three?", **others: Any) -> dict[str, Any]:
    return {"model": "standin", "messages": [{"role": "user", "content": text}], **others}


def events(llm: Standin, body: dict[str, Any]) -> list[tuple[float, str]]:
    """The data of a stream's events, each with when it came."""
    found = []
    began = time.monotonic()
    with llm.http.stream("POST", PATH, json=body, headers=HEADERS) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line:
                assert line.startswith("data: ")
                found.append((time.monotonic() - began, line.removeprefix("data: ")))
    return found


def contents(found: list[tuple[float, str]]) -> list[str]:
    deltas = [json.loads(data)["choices"] for _, data in found if data != "[DONE]"]
    return [c[0]["delta"]["content"] for c in deltas if c and c[0]["delta"].get("content")]


def test_a_stream_is_role_tokens_finish_usage_done(llm: Standin) -> None:
    found = events(llm, asked(stream=True, stream_options={"include_usage": True}))
    chunks = [json.loads(data) for _, data in found[:-1]]
    assert found[-1][1] == "[DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(contents(found)) > 4
    assert "".join(contents(found)) == "Two plus three is five."


def test_without_stream_the_reply_comes_at_once(llm: Standin) -> None:
    answer = llm.http.post(PATH, json=asked(), headers=HEADERS).json()
    assert answer["choices"][0]["message"]["content"] == "Two plus three is five."
    assert answer["usage"]["total_tokens"] > 0


def test_the_reply_may_be_limited(llm: Standin) -> None:
    answer = llm.http.post(PATH, json=asked(max_tokens=2), headers=HEADERS).json()
    assert answer["choices"][0]["finish_reason"] == "length"


def test_models_are_listed(llm: Standin) -> None:
    listed = llm.http.get("/v1/models", headers=HEADERS).json()
    assert "standin" in {model["id"] for model in listed["data"]}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_a_wrong_key_is_401(llm: Standin, headers: dict[str, str]) -> None:
    for answer in (llm.http.post(PATH, json=asked(), headers=headers), llm.http.get("/v1/models")):
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"model": "x"}',
        b'{"model": "x", "messages": []}',
        b'{"model": "x", "messages": [{"role": "king", "content": "x"}]}',
        b'{"model": "x", "messages": [{"role": "user", "content": 1}]}',
        b'{"model": "x", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}',
    ],
)
def test_a_malformed_request_is_400(llm: Standin, body: bytes) -> None:
    answer = llm.http.post(PATH, content=body, headers=HEADERS)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_tokens_come_when_they_are_set_to(llm: Standin) -> None:
    llm.put(delays={"llm_first_token_ms": 150, "llm_token_ms": 20})
    found = events(llm, asked(stream=True))
    times = [at for at, data in found if '"content": "' in data and '"role"' not in data]
    assert len(times) > 3
    for number, at in enumerate(times):  # never early; how late, is the machine's load
        assert 0.149 + 0.02 * number <= at < 5
    assert times[-1] > times[0], "one after the other"


def test_the_request_is_recorded_without_its_key(llm: Standin) -> None:
    events(llm, asked("Hello.", stream=True))
    (record,) = llm.records()
    assert record["path"] == PATH
    assert record["body"]["messages"] == [{"role": "user", "content": "Hello."}]
    assert KEY not in json.dumps(record)
    assert record["frames"][-1]["frame"] == "[DONE]"


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_status_so_many_times(llm: Standin, status: int) -> None:
    llm.put(faults={"llm": {"status": status, "retry_after": 1.5, "times": 2}})
    answers = [llm.http.post(PATH, json=asked(), headers=HEADERS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["Retry-After"] == "1.5"


def test_a_fault_may_be_taken_back(llm: Standin) -> None:
    llm.put(faults={"llm": {"status": 500, "times": "always"}})
    assert llm.http.post(PATH, json=asked(), headers=HEADERS).status_code == 500
    llm.put(faults={"llm": None})
    assert llm.http.post(PATH, json=asked(), headers=HEADERS).status_code == 200


def test_faults_leave_the_list_of_models_alone(llm: Standin) -> None:
    llm.put(faults={"llm": {"status": 500}})
    assert llm.http.get("/v1/models", headers=HEADERS).status_code == 200
    assert llm.http.post(PATH, json=asked(), headers=HEADERS).status_code == 500


@pytest.mark.parametrize("fault", [{"refuse": True}, {"cut": 0}])
def test_the_connection_is_reset_instead_of_an_answer(llm: Standin, fault: dict[str, Any]) -> None:
    llm.put(faults={"llm": fault})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        events(llm, asked(stream=True))
    assert events(llm, asked(stream=True))


def test_cut_after_so_many_tokens(llm: Standin) -> None:
    llm.put(faults={"llm": {"cut": 3}})
    found: list[tuple[float, str]] = []
    with (
        pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)),
        llm.http.stream("POST", PATH, json=asked(stream=True), headers=HEADERS) as response,
    ):
        found.extend((0, line[6:]) for line in response.iter_lines() if line)
    frames = llm.records()[0]["frames"]
    assert len(contents([(0, json.dumps(f["frame"])) for f in frames])) == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_stalled(llm: Standin, when: str) -> None:
    llm.put(faults={"llm": {"stall": when}})
    with pytest.raises(httpx.ReadTimeout):
        llm.http.post(PATH, json=asked(stream=True), headers=HEADERS, timeout=0.4)


def test_garbage_in_the_stream(llm: Standin) -> None:
    llm.put(faults={"llm": {"garbage": True}})
    with pytest.raises(json.JSONDecodeError):
        contents(events(llm, asked(stream=True)))


STRICT: list[tuple[list[tuple[str, str]], str | None]] = [
    ([("system", "a"), ("user", "b")], None),
    ([("user", "b")], None),
    ([("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")], None),
    ([("system", "a"), ("user", "b"), ("user", "c")], "bad_roles"),
    ([("system", "a"), ("assistant", "b"), ("user", "c")], "bad_roles"),
    ([("system", "a"), ("user", "b"), ("assistant", "c")], "bad_roles"),
    ([("user", "b"), ("system", "a")], "bad_roles"),
    ([("system", "a")], "bad_roles"),
    ([("system", "a"), ("user", " ")], "empty_message"),
]


@pytest.mark.parametrize(("messages", "code"), STRICT)
def test_a_strict_endpoint_takes_turns_and_nothing_else(
    llm: Standin, messages: list[tuple[str, str]], code: str | None
) -> None:
    body = {**asked(), "messages": [{"role": r, "content": c} for r, c in messages]}
    llm.put(oddities={"strict_roles": True})
    answer = llm.http.post(PATH, json=body, headers=HEADERS)
    assert answer.status_code == (400 if code else 200)
    assert answer.json().get("error", {}).get("code") == code
    llm.put(oddities={"strict_roles": False})
    assert llm.http.post(PATH, json=body, headers=HEADERS).status_code == 200


def test_it_may_take_no_system_message(llm: Standin) -> None:
    llm.put(oddities={"no_system_role": True})
    body = {**asked(), "messages": [{"role": "system", "content": "a"}, *asked()["messages"][-1:]]}
    refused = llm.http.post(PATH, json=body, headers=HEADERS)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_roles")
    body["messages"] = body["messages"][1:]
    assert llm.http.post(PATH, json=body, headers=HEADERS).status_code == 200


def test_it_may_not_be_told_how_much_to_think(llm: Standin) -> None:
    body = {**asked(), "reasoning_effort": "none"}
    assert llm.http.post(PATH, json=body, headers=HEADERS).status_code == 200
    wrong = llm.http.post(PATH, json={**body, "reasoning_effort": "some"}, headers=HEADERS)
    llm.put(oddities={"no_reasoning_effort": True})
    refused = llm.http.post(PATH, json=body, headers=HEADERS)
    for answer in (wrong, refused):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "reasoning_effort"
    assert llm.http.post(PATH, json=asked(), headers=HEADERS).status_code == 200


def test_it_may_think_within_its_reply(llm: Standin) -> None:
    llm.put(oddities={"thinks": True})
    text = "".join(contents(events(llm, asked(stream=True))))
    assert text.startswith("<think>The user said: What is two plus three?</think>\n\nTwo plus")


def test_it_may_answer_in_one_piece_although_a_stream_was_asked_for(llm: Standin) -> None:
    llm.put(oddities={"whole_answers": True})
    answer = llm.http.post(PATH, json=asked(stream=True), headers=HEADERS).json()
    assert answer["choices"][0]["message"]["content"] == "Two plus three is five."


def test_it_may_call_a_function_that_it_was_not_given(llm: Standin) -> None:
    llm.put(oddities={"calls_tool": True})
    whole = llm.http.post(PATH, json=asked(), headers=HEADERS).json()["choices"][0]
    assert (whole["message"]["content"], whole["finish_reason"]) == (None, "tool_calls")
    found = events(llm, asked(stream=True))
    assert contents(found) == []
    assert any("tool_calls" in data for _, data in found)


def test_an_error_has_an_id_and_repeats_what_was_sent(llm: Standin) -> None:
    llm.put(faults={"llm": {"status": 429, "code": "insufficient_quota"}})
    answer = llm.http.post(PATH, json=asked(), headers=HEADERS)
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert KEY in answer.json()["error"]["message"]
    assert "two plus three" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"speed": 1}, "speed"),
        ({"delays": {"llm_tokens_ms": 1}}, "llm_tokens_ms"),
        ({"delays": {"llm_token_ms": -1}}, "llm_token_ms"),
        ({"faults": {"tts": {"cut": 1}}}, "tts"),
        ({"faults": {"llm": {"cut": 1, "refuse": True}}}, "one of"),
        ({"faults": {"llm": {"status": 418}}}, "status"),
        ({"faults": {"llm": {"cut": 1, "code": "x"}}}, "code"),
        ({"oddities": {"thinks": 1}}, "thinks"),
        ({"faults": {"llm": {"times": 0, "cut": 1}}}, "times"),
    ],
)
def test_unknown_or_wrong_settings_are_refused_by_name(
    llm: Standin, settings: dict[str, Any], named: str
) -> None:
    before = llm.http.get("/_control").json()
    answer = llm.http.put("/_control", json=settings)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert llm.http.get("/_control").json() == before
