"""The n8n stand-in: who may run its workflow, at which URL, and what it remembers."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from standins_tests.conftest import KEY, Standin

URL = "/webhook/parley"
WHOLE = {"respond": "last_node"}


def send(n8n: Standin, text: str = "Hello.", url: str = URL, **options: Any) -> httpx.Response:
    body = {"action": "sendMessage", "sessionId": options.pop("session", "s"), "chatInput": text}
    headers = options.pop("headers", {"Authorization": KEY})
    return n8n.http.post(url, json=body, headers=headers, **options)


def test_a_stream_is_chunked_json_that_no_length_is_known_of(n8n: Standin) -> None:
    answer = send(n8n)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Cache-Control"] == "no-cache"


def test_it_answers_before_anything_has_run(n8n: Standin) -> None:
    n8n.put(delays={"first_item_ms": 600_000})
    with n8n.http.stream("POST", URL, json={}, headers={"Authorization": KEY}) as response:
        assert response.status_code == 200


BASIC = "Basic " + base64.b64encode(f"parley:{KEY}".encode()).decode()
AUTH = [
    ("none", {}, 200),
    ("header", {"X-Key": KEY}, 200),
    ("header", {"X-Key": "another"}, 403),
    ("header", {}, 403),
    ("jwt", {"Authorization": f"Bearer {KEY}"}, 200),
    ("jwt", {"Authorization": KEY}, 403),
    ("jwt", {}, 401),
    ("basic", {"Authorization": BASIC}, 200),
    ("basic", {"Authorization": KEY}, 403),
    ("basic", {}, 401),
    ("no_credential", {"Authorization": KEY}, 500),
]


@pytest.mark.parametrize(("auth", "headers", "status"), AUTH)
def test_who_may_run_it(n8n: Standin, auth: str, headers: dict[str, str], status: int) -> None:
    n8n.put(oddities={**WHOLE, "auth": auth, "header": "X-Key"})
    assert send(n8n, headers=headers).status_code == status


def test_a_test_url_takes_one_call(n8n: Standin) -> None:
    n8n.put(oddities={**WHOLE, "armed": True, "active": False})
    url = "/webhook-test/parley"
    assert n8n.http.options(url).status_code == 204
    assert send(n8n, url=url).status_code == 200
    again = send(n8n, url=url)
    assert again.status_code == 404
    assert "Execute workflow" in again.json()["hint"]


def test_options_tell_the_methods_to_who_names_an_origin(n8n: Standin) -> None:
    origin = {"Origin": "https://example.com"}
    assert "Access-Control-Allow-Methods" not in n8n.http.options(URL).headers
    known = n8n.http.options(URL, headers=origin)
    assert (known.status_code, known.headers["Access-Control-Allow-Methods"]) == (
        204,
        "OPTIONS, POST",
    )
    n8n.put(oddities={"active": False})
    unknown = n8n.http.options(URL, headers=origin)
    assert (unknown.status_code, unknown.headers["Access-Control-Allow-Methods"]) == (
        204,
        "OPTIONS",
    )


def test_a_page_runs_nothing(n8n: Standin) -> None:
    headers = {"Authorization": KEY, "Origin": "https://example.com"}
    assert send(n8n, headers=headers).status_code == 403


def test_it_remembers_by_session(n8n: Standin) -> None:
    n8n.put(oddities=WHOLE)
    send(n8n, "My name is Anna.", session="one")
    assert "Anna" in send(n8n, "What is my name?", session="one").json()["output"]
    assert "Anna" not in send(n8n, "What is my name?", session="two").json()["output"]


def test_without_a_session_or_a_text_its_nodes_fail(n8n: Standin) -> None:
    headers = {"Authorization": KEY}
    assert '"error"' in n8n.http.post(URL, json={"chatInput": "Hi."}, headers=headers).text
    n8n.put(oddities=WHOLE)
    answer = n8n.http.post(URL, json={"sessionId": "s"}, headers=headers)
    assert (answer.status_code, answer.json()) == (500, {"message": "Error in workflow"})


def test_it_is_healthy(n8n: Standin) -> None:
    assert n8n.http.get("/healthz").json() == {"status": "ok"}


def test_a_key_is_in_no_record(n8n: Standin) -> None:
    n8n.put(oddities={**WHOLE, "header": "X-Key"})
    send(n8n, headers={"X-Key": KEY})
    (record,) = n8n.records()
    assert KEY not in str(record)
