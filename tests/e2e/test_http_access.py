"""Who may ask over HTTP, and for what: the same tokens and the same owners as over the socket."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.backend import claims, token_for
from tests.e2e.conftest import PAGE
from tests.e2e.http_api import HttpSession
from tests.e2e.raw import opened
from tests.e2e.stack import Stack
from tests.unit.tokens import shared_token, unsigned_token

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def stack(secret_stack: Stack) -> Stack:
    """Only those may ask who have a token."""
    secret_stack.standins.reset()
    return secret_stack


REQUESTS = [
    ("POST", "/turns"),
    ("POST", "/sessions"),
    ("GET", "/sessions"),
    ("GET", "/sessions/01HGCZ7A9V3QK5W8XN2M4R6T0B"),
    ("DELETE", "/sessions/01HGCZ7A9V3QK5W8XN2M4R6T0B"),
    ("POST", "/sessions/01HGCZ7A9V3QK5W8XN2M4R6T0B/turns/t/interrupt"),
    ("GET", "/health?deep=1"),
]
REFUSAL = "Authorization: a good bearer token is needed."
BAD_TOKENS: dict[str, Callable[[Stack], str]] = {
    "none": lambda stack: "",
    "garbage": lambda stack: "garbage",
    "expired": lambda stack: token_for(stack, "ada", exp=int(time.time()) - 3_600),
    "foreign secret": lambda stack: shared_token(claims("ada"), "x" * 40),
    "unsigned": lambda stack: unsigned_token(claims("ada")),
    "nobody's name": lambda stack: token_for(stack, "anonymous"),
}


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_nobody_is_answered_without_a_good_token(
    stack: Stack, method: str, path: str
) -> None:
    body = {"text": "Hello."} if method == "POST" else None
    wrong: dict[str, object] = {}
    async with HttpSession(stack) as nobody:
        for kind, make in BAD_TOKENS.items():
            token = make(stack)
            shown = {"authorization": f"Bearer {token}"} if token else {}
            before = stack.log.stat().st_size
            answer = await nobody.client.request(method, path, json=body, headers=shown)
            said = answer.json()
            found = (answer.status_code, answer.headers.get("www-authenticate"), said.get("code"))
            told = said.get("detail")
            if (*found, told) != (401, "Bearer", "unauthorized", REFUSAL):
                wrong[kind] = (*found, told)
            if token and token in stack.logged_since(before):
                wrong[kind] = "the token is in the log"
    assert wrong == {}


async def test_anybody_may_ask_whether_it_is_there(stack: Stack) -> None:
    async with HttpSession(stack) as anybody:
        assert (await anybody.client.get("/health")).status_code == 200


async def test_a_foreign_page_is_refused_even_with_its_users_token(stack: Stack) -> None:
    async with HttpSession(stack, token_for(stack, "ada")) as ada:
        foreign = await ada.client.post(
            "/turns", json={"text": "Hello."}, headers={"origin": "https://evil.example"}
        )
        own = await ada.client.post("/turns", json={"text": "Hello."}, headers={"origin": PAGE})
    assert (foreign.status_code, own.status_code) == (403, 200)


async def test_a_page_of_a_subdomain_may_ask(stack: Stack) -> None:
    page = {"Origin": "https://app.example.org"}
    asked = {**page, "Access-Control-Request-Method": "POST"}
    async with HttpSession(stack, token_for(stack, "ada")) as ada:
        preflight = await ada.client.options("/sessions", headers=asked)
        answer = await ada.client.post("/sessions", json={}, headers=page)
    assert (preflight.status_code, answer.status_code) == (204, 201)
    for each in (preflight, answer):
        assert each.headers["access-control-allow-origin"] == "*"


async def test_who_is_known_has_a_list_of_their_own_sessions(stack: Stack) -> None:
    async with opened(stack.url, token=token_for(stack, "grace")) as client:
        await client.say("Hello.")
        over_socket = client.ready["session_id"]
    async with (
        HttpSession(stack, token_for(stack, "grace")) as grace,
        HttpSession(stack, token_for(stack, "ada")) as ada,
    ):
        await grace.say("Good morning.")
        listed = (await grace.client.get("/sessions")).json()["sessions"]
        others = (await ada.client.get("/sessions")).json()["sessions"]
    assert [each["id"] for each in listed] == [grace.session_id, over_socket]
    assert grace.session_id not in [each["id"] for each in others]


async def test_another_ones_session_is_not_there(stack: Stack) -> None:
    async with (
        HttpSession(stack, token_for(stack, "ada")) as ada,
        HttpSession(stack, token_for(stack, "mallory")) as mallory,
    ):
        turn = await ada.say("My secret is a frog.")
        path = f"/sessions/{ada.session_id}"
        stolen = {"session_id": ada.session_id, "resume_token": ada.token}
        answers = [
            await mallory.client.get(path, headers={"x-resume-token": ada.token or ""}),
            await mallory.client.delete(path, headers={"x-resume-token": ada.token or ""}),
            await mallory.client.post("/turns", json={"text": "What is it?", **stolen}),
            await mallory.client.post(
                f"{path}/turns/{turn['turn_id']}/interrupt",
                json={"played_ms": 0, "resume_token": ada.token},
            ),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert {answer.json()["code"] for answer in answers} == {"session_not_found"}
        assert not any("frog" in answer.text for answer in answers)
        mine = await ada.client.get(path)
        assert "frog" in mine.text, "the owner reads it without the resume token"
        again = await ada.say("Thank you.")
        assert again["reason"] == "completed"


async def test_the_owner_erases_a_session(stack: Stack) -> None:
    async with HttpSession(stack, token_for(stack, "ada")) as ada:
        await ada.say("Forget this.")
        path = f"/sessions/{ada.session_id}"
        assert (await ada.client.delete(path)).status_code == 204
        assert (await ada.client.get(path)).status_code == 404
        listed = (await ada.client.get("/sessions")).json()["sessions"]
        assert ada.session_id not in [each["id"] for each in listed]
