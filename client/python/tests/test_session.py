"""How the client introduces itself: a new session, a return, a session that was lost."""

from __future__ import annotations

from typing import Any

from parley_client import Choices, Settings
from parley_client.messages import Limits, Ready
from parley_client.session import Session


def ready(session_id: str, token: str, **said: Any) -> Ready:
    return Ready(
        session_id=session_id,
        resume_token=token,
        resumed=False,
        settings=Settings(language="en", speed=0.9),
        limits=Limits(),
        protocol=1,
        **said,
    )


def test_the_first_message_asks_for_a_session_with_its_settings() -> None:
    assert Session({"speed": 0.9}).init(None) == {
        "type": "init",
        "protocol": 1,
        "settings": {"speed": 0.9},
    }
    assert Session({}).init(None) == {"type": "init", "protocol": 1}


def test_a_return_shows_the_latest_token_and_how_far_a_turn_has_arrived() -> None:
    session = Session({"speed": 0.9})
    session.opened(ready("s", "first"))
    session.opened(ready("s", "second"))
    init = session.init({"turn_id": "t", "seq": 3})
    assert init == {
        "type": "init",
        "protocol": 1,
        "session_id": "s",
        "resume_token": "second",
        "received": {"turn_id": "t", "seq": 3},
    }


def test_a_lost_session_is_replaced_by_one_with_the_settings_in_force() -> None:
    session = Session({})
    assert session.opened(ready("old", "t1")) is None
    session.configured(Settings(language="de"))
    session.lost()
    assert session.init({"turn_id": "t", "seq": 3}) == {
        "type": "init",
        "protocol": 1,
        "settings": {"language": "de"},
    }
    assert session.opened(ready("new", "t2")) == "old"
    assert session.init(None)["session_id"] == "new"


def test_of_the_settings_in_force_only_those_that_may_be_chosen_are_asked_for_again() -> None:
    session = Session({})
    session.opened(ready("old", "t1", choices=Choices(("speed",), (), ())))
    session.lost()
    assert session.init(None)["settings"] == {"speed": 0.9}
