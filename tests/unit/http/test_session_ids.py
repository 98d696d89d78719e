"""Requests about sessions whose id can be none: a sentence, and nothing of it reaches the table."""

from __future__ import annotations

import pytest

from parley.auth.identity import Identity
from parley.errors import ParleyError
from parley.http.framework import HttpRequest
from parley.http.sessions import SessionHandlers
from parley.principal import Principal
from parley.sessions.erasure import Erasure
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore

ADA = Principal("acme", "ada")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("session_id", ["x" * 3_000, "a/b", "é", " "])
def test_an_id_that_can_be_none_is_refused(table: Table, method: str, session_id: str) -> None:
    store, turns = SessionStore(table), TurnStore(table)
    sessions = SessionHandlers(store, SessionReader(table), Erasure(store, turns, None), None)
    request = HttpRequest(
        method,
        f"{method} /sessions/{{session_id}}",
        parameters={"session_id": session_id},
    )
    answer = sessions.read_session if method == "GET" else sessions.erase_session
    with pytest.raises(ParleyError) as refused:
        answer(request, Identity(ADA))
    assert (refused.value.code, refused.value.field) == ("bad_request", "session_id")
