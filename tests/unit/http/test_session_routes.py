"""Requests about sessions: who may ask for what, and pages of the list. On moto's DynamoDB."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from parley.auth.identity import Identity
from parley.errors import ParleyError
from parley.http import sessions as sessions_module
from parley.http.framework import HttpRequest
from parley.http.sessions import SessionHandlers
from parley.ids import new_ulid, token_hash
from parley.limit import Limit
from parley.limits.request_rates import RequestRates
from parley.limits.rules import LimitRules, Share
from parley.principal import ANONYMOUS, Principal, parse_session_id
from parley.protocol.messages import Message, Settings
from parley.sessions.erasure import Erasure
from parley.storage.item_codec import Session, owner_key
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore

ADA, BOB = Principal("acme", "ada"), Principal("acme", "bob")


class Place:
    """The table, and requests by whoever `me` is."""

    def __init__(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table, self.store, self.turns = table, SessionStore(table), TurnStore(table)
        self.me = ADA
        self.wait_s = 20.0
        self.erasure = erasure = Erasure(self.store, self.turns, None)
        self.sessions = SessionHandlers(self.store, SessionReader(table), erasure, None)
        monkeypatch.setattr("parley.sessions.erasure.SETTLE_S", 0.0)
        monkeypatch.setattr(erasure, "erase", lambda ref: Erasure.erase(erasure, ref, self.wait_s))

    def limit_reads(self, per_minute: int) -> None:
        """From now on everybody may read so often, a third of it at once."""
        rates = RequestRates(self.table, LimitRules(Share(reads_per_minute=per_minute)))
        self.sessions = SessionHandlers(
            self.store, SessionReader(self.table), self.erasure, None, rates
        )

    def opened(self, principal: Principal = ADA, at_ms: int | None = None) -> str:
        ref = principal.session(new_ulid(at_ms))
        self.store.put_session(Session(ref, token_hash("token"), "c", Settings(), "active"))
        self.store.put_message(ref, 1, Message("user", "Hello.", "t"), None)
        return parse_session_id(ref)

    def list(self, **query: str) -> dict[str, Any]:
        request = HttpRequest("GET", "GET /sessions", query=query)
        answer = self.sessions.list_sessions(request, Identity(self.me))
        return dict(json.loads(answer.body))

    def one(self, session_id: str, method: str = "GET", **headers: str) -> Any:
        request = HttpRequest(
            method,
            f"{method} /sessions/{{session_id}}",
            parameters={"session_id": session_id},
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = self.sessions.read_session if method == "GET" else self.sessions.erase_session
        return answer(request, Identity(self.me))


@pytest.fixture(scope="module")
def client(moto_client: Any) -> Any:
    """A table that answers page by page, and whose requests botocore tells of."""
    return moto_client


@pytest.fixture
def place(table: Table, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(table, monkeypatch)


def refused(call: Any) -> tuple[str, str | None]:
    with pytest.raises(ParleyError) as caught:
        call()
    assert caught.value.message.endswith(".")
    return caught.value.code, caught.value.field


def test_a_list_is_newest_first_and_goes_on_where_it_stopped(place: Place) -> None:
    place.me = Principal("acme", "lister")
    ids = [place.opened(place.me, at_ms) for at_ms in range(1, 8)]
    found, cursor, pages = [], "", 0
    while True:
        page = place.list(limit="3", **({"cursor": cursor} if cursor else {}))
        found += [each["id"] for each in page["sessions"]]
        pages += 1
        if (cursor := page.get("next_cursor", "")) == "":
            break
    assert found == ids[::-1]
    assert pages == 3


def test_a_page_that_ends_with_the_list_has_no_next(place: Place) -> None:
    place.me = Principal("acme", "exactly")
    for at_ms in (1, 2):
        place.opened(place.me, at_ms)
    assert "next_cursor" not in place.list(limit="2")


def test_a_list_reads_one_item_of_each_session_and_nothing_that_was_said(
    place: Place, client: Any
) -> None:
    place.me = Principal("acme", "long")
    ids = [place.opened(place.me, at_ms) for at_ms in (1, 2, 3)]
    place.store.set_active_turn(place.me.session(ids[-1]), "t", 1_800_000_000_000)
    read: list[dict[str, Any]] = []

    def note(model: Any, params: Any, **_: Any) -> None:
        read.append({"operation": model.name, **json.loads(params["body"])})

    client.meta.events.register("before-call.dynamodb", note)
    try:
        newest, *others = place.list()["sessions"]
    finally:
        client.meta.events.unregister("before-call.dynamodb", note)
    assert newest["id"] == ids[-1]
    assert newest["last_turn_at"] == "2027-01-15T08:00:00Z"
    assert {each["status"] for each in (newest, *others)} == {"active"}
    (queried,) = [each for each in read if each["operation"] == "Query"]
    assert queried["ExpressionAttributeValues"][":pk"] == {"S": "OWNER#acme/long"}
    got = sorted(each["Key"]["sk"]["S"] for each in read if each["operation"] != "Query")
    assert got == ["META"] * 3


def test_a_session_that_is_being_erased_is_on_no_list(place: Place) -> None:
    place.me = Principal("acme", "erases")
    ids = [place.opened(place.me, at_ms) for at_ms in (1, 2)]
    ref = place.me.session(ids[0])
    place.store.mark_erased(ref)
    place.table.put(owner_key(place.me.key, ids[0]))  # as if it had not been removed yet
    assert [each["id"] for each in place.list()["sessions"]] == ids[1:]


@pytest.mark.parametrize("what", ["list", "transcript", "missing"])
def test_who_reads_too_often_is_told_when_to_try_again(place: Place, what: str) -> None:
    place.me = Principal("acme", f"reads a {what}")
    session_id = place.opened(place.me)
    place.limit_reads(3)

    def read() -> Any:
        return place.list() if what == "list" else place.one(session_id)

    if what == "missing":
        session_id = "01M7Z612AHZV40TG3J7990619J"
        assert refused(read) == ("session_not_found", "session_id")
    else:
        read()
    with pytest.raises(ParleyError) as caught:
        read()
    assert caught.value.code == "rate_limited"
    assert 0 < (caught.value.retry_after_ms or 0) <= 20_000
    assert caught.value.limit == Limit("reads_per_minute", 3, "subject")


def test_who_erases_too_often_is_told_when_to_try_again(place: Place) -> None:
    place.me = Principal("acme", "erases")
    sessions = [place.opened(place.me) for _ in range(2)]
    place.limit_reads(3)
    place.one(sessions[0], "DELETE")
    with pytest.raises(ParleyError) as caught:
        place.one(sessions[1], "DELETE")
    assert caught.value.code == "rate_limited"
    assert place.store.get_session(place.me.session(sessions[1])) is not None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({}, "unauthorized"),
        ({"x_resume_token": ""}, "unauthorized"),
        ({"x_resume_token": "made up"}, "resume_denied"),
        ({"x_resume_token": "\u6f22"}, "resume_denied"),
    ],
)
def test_whom_nobody_knows_uses_up_nothing_without_a_session_s_token(
    place: Place, method: str, shown: dict[str, str], code: str
) -> None:
    place.me = ANONYMOUS
    session_id, absent = place.opened(ANONYMOUS), new_ulid()
    rates = RequestRates(place.table, LimitRules(Share(), Share(reads_per_minute=3)))
    place.sessions = SessionHandlers(
        place.store, SessionReader(place.table), place.erasure, None, rates
    )
    bucket = {"pk": {"S": "LIMIT#default"}, "sk": {"S": "READS"}}
    place.table.delete(bucket)
    for _ in range(5):
        assert refused(lambda: place.one(session_id, method, **shown))[0] == code
        assert refused(lambda: place.one(absent, method, **shown))[0] in (code, "session_not_found")
    assert place.table.get(bucket) is None
    place.one(session_id, method, x_resume_token="token")  # whoever has one is let in


def test_a_history_that_is_longer_than_an_answer_is_not_read_to_its_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.storage.session_reader.MAX_PAGES", 2)
    session_id = place.opened()
    ref = ADA.session(session_id)
    for turn in range(10):  # 3 MB, of which a query reads one
        place.store.put_message(ref, turn, Message("user", "x" * 300_000, f"t{turn}"), None)
    assert refused(lambda: place.one(session_id)) == ("too_large", "session_id")


def test_nobody_sees_another_s_sessions(place: Place) -> None:
    session_id = place.opened(BOB)
    assert session_id not in json.dumps(place.list(limit="100"))
    assert refused(lambda: place.one(session_id)) == ("session_not_found", "session_id")
    assert refused(lambda: place.one(session_id, "DELETE")) == ("session_not_found", "session_id")
    place.me = BOB
    assert place.one(session_id).status == HTTPStatus.OK


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1e1", "٣"])
def test_a_limit_that_is_none_is_refused(place: Place, limit: str) -> None:
    assert refused(lambda: place.list(limit=limit)) == ("bad_request", "limit")


@pytest.mark.parametrize("cursor", ["#", "a b", "x" * 65])
def test_a_cursor_that_is_none_is_refused(place: Place, cursor: str) -> None:
    assert refused(lambda: place.list(cursor=cursor)) == ("bad_request", "cursor")


def test_who_is_known_needs_no_token(place: Place) -> None:
    session_id = place.opened()
    assert json.loads(place.one(session_id).body)["messages"][0]["text"] == "Hello."
    assert place.one(session_id, "DELETE").status == HTTPStatus.NO_CONTENT
    assert session_id not in json.dumps(place.list(limit="100"))


def test_where_nobody_is_known_the_token_opens_one_session_and_no_list(place: Place) -> None:
    place.me = ANONYMOUS
    session_id = place.opened(ANONYMOUS)
    assert refused(place.list) == ("unauthorized", None)
    assert refused(lambda: place.one(session_id)) == ("unauthorized", "X-Resume-Token")
    wrong = refused(lambda: place.one(session_id, "DELETE", x_resume_token="wrong"))
    assert wrong == ("resume_denied", "X-Resume-Token")
    assert place.one(session_id, x_resume_token="token").status == HTTPStatus.OK
    assert place.one(session_id, "DELETE", x_resume_token="token").status == 204
    gone = refused(lambda: place.one(session_id, "DELETE", x_resume_token="token"))
    assert gone[0] == "session_not_found"


def test_an_erasure_that_takes_longer_says_so_and_is_finished_by_the_next(place: Place) -> None:
    session_id = place.opened()
    ref = ADA.session(session_id)
    place.turns.acquire_lease(ref, "t", "me", attempt=1, received_at_ms=1)
    place.wait_s = 0.0
    answer = place.one(session_id, "DELETE")
    assert answer.status == HTTPStatus.ACCEPTED
    assert json.loads(answer.body) == {"erased": False}
    assert int(answer.headers["retry-after"]) > 0
    assert refused(lambda: place.one(session_id))[0] == "session_not_found", "not even read"
    place.turns.finish_turn(ref, "t", "me", reason="interrupted")
    assert place.one(session_id, "DELETE").status == HTTPStatus.NO_CONTENT


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "application/json"),
        ({"accept": "text/markdown"}, "text/markdown; charset=utf-8"),
        ({"accept": "text/vtt, */*"}, "text/vtt; charset=utf-8"),
        ({"accept": "*/*"}, "application/json"),
    ],
)
def test_the_format_is_what_is_accepted(place: Place, headers: dict[str, str], kind: str) -> None:
    assert place.one(place.opened(), **headers).content_type == kind


def test_a_transcript_that_does_not_fit_into_an_answer_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "MAX_ANSWER_BYTES", 10)
    session_id = place.opened()
    assert refused(lambda: place.one(session_id)) == ("too_large", "format")
