"""Requests about sessions whose id can be none: a sentence, and nothing of it reaches the table."""

from __future__ import annotations

from typing import Any

import pytest

from parley.archive import Archive
from parley.erasure import Erasure
from parley.errors import ParleyError
from parley.http import HttpRequest
from parley.principal import Identity, Principal
from parley.sessions import Sessions
from parley.store import Store
from parley.table import Table
from parley.turns import Turns

ADA = Principal("acme", "ada")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("session_id", ["x" * 3_000, "a/b", "é", " "])
def test_an_id_that_can_be_none_is_refused(table: Table, method: str, session_id: str) -> None:
    store, turns = Store(table), Turns(table)
    sessions = Sessions(store, Archive(table), Erasure(store, turns, None), None)
    request = HttpRequest(
        method,
        f"{method} /sessions/{{session_id}}",
        parameters={"session_id": session_id},
        identify=lambda _: Identity(ADA),
    )
    ask: Any = sessions.read if method == "GET" else sessions.erase
    with pytest.raises(ParleyError) as refused:
        ask(request)
    assert (refused.value.code, refused.value.field) == ("bad_request", "session_id")
