"""Which resume tokens open which sessions, and for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from parley.errors import ParleyError
from parley.ids import token_hash
from parley.principal import ANONYMOUS
from parley.protocol.messages import Settings
from parley.sessions.token import TokenErrors, check_erasure, check_read, check_resume
from parley.storage.item_codec import Session

NOW_S = 1_000.0
ERRORS = TokenErrors(
    lambda: ParleyError("session_not_found", "Not found."),
    lambda: ParleyError("resume_denied", "Denied."),
)
SESSION = Session(
    ANONYMOUS.session("s"),
    token_hash("latest"),
    "c",
    Settings(),
    "active",
    previous_hash=token_hash("previous"),
    expires_at=2_000,
)
EXPIRED = replace(SESSION, expires_at=1_000)
ENDED = replace(SESSION, status="ended")
ERASED = replace(SESSION, status="erased")

Check = Callable[[Session | None, str], Session]


def resume(session: Session | None, token: str) -> Session:
    return check_resume(session, token, NOW_S, ERRORS)


def read(session: Session | None, token: str) -> Session:
    return check_read(session, token, ERRORS)


def erase(session: Session | None, token: str) -> Session:
    return check_erasure(session, token, ERRORS)


CHECKS = (resume, read, erase)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("token", ["latest", "previous"])
def test_the_latest_token_and_the_one_before_open_a_session(check: Check, token: str) -> None:
    assert check(SESSION, token) is SESSION


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("token", ["", "another", "漢"])
def test_no_other_token_opens_it(check: Check, token: str) -> None:
    with pytest.raises(ParleyError) as refused:
        check(SESSION, token)
    assert refused.value.code == "resume_denied"


@pytest.mark.parametrize("check", CHECKS)
def test_an_empty_token_does_not_stand_for_a_previous_one_that_is_not_there(check: Check) -> None:
    with pytest.raises(ParleyError) as refused:
        check(replace(SESSION, previous_hash=""), "")
    assert refused.value.code == "resume_denied"


@pytest.mark.parametrize(
    ("check", "session", "opens"),
    [
        (resume, None, False),
        (resume, EXPIRED, False),
        (resume, ENDED, False),
        (resume, ERASED, False),
        (read, None, False),
        (read, EXPIRED, True),
        (read, ENDED, True),
        (read, ERASED, False),
        (erase, None, False),
        (erase, EXPIRED, True),
        (erase, ENDED, True),
        (erase, ERASED, True),
    ],
)
def test_what_a_good_token_opens_depends_on_what_it_is_for(
    check: Check, session: Session | None, opens: bool
) -> None:
    if opens:
        assert check(session, "latest") is session
        return
    with pytest.raises(ParleyError) as refused:
        check(session, "latest")
    assert refused.value.code == "session_not_found"
