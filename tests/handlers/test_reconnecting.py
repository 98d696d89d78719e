"""A client whose connections are lost one after the other, and nobody says so: `$disconnect` is
told minutes later, or never. It must not be locked out by its own lost connections."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from parley.limits.connection_lease import LOST_AFTER_S
from tests.handlers.loading import Context, event, items, load

SLOTS = 3


class Phone:
    """A client, and the connect and message functions that it reaches."""

    def __init__(self) -> None:
        self._connect, self._message = load("connect"), load("message")
        self.posts: list[dict[str, Any]] = []
        self._message.environment.management_api.post = self._take
        self._message.environment.management_api.close = lambda _endpoint, _connection_id: None

    def _take(self, _endpoint: str, _connection_id: str, frame: bytes) -> None:
        self.posts.append(json.loads(frame))

    def connect(self, name: str, ago_s: int = 0) -> int:
        """Shake hands; the status that it is answered with."""
        found = event("connect")
        at_ms = int(time.time() * 1000) - 1000 * ago_s
        found["requestContext"] |= {"connectionId": name, "connectedAt": at_ms}
        status: int = self._connect.handler(found, Context())["statusCode"]
        return status

    def init(self, name: str, **fields: Any) -> dict[str, Any]:
        """Send `init`; what it is answered with first."""
        found = event("message-init")
        found["requestContext"] |= {"connectionId": name, "messageId": f"init of {name}"}
        found["body"] = json.dumps({"type": "init", "protocol": 1, **fields})
        before = len(self.posts)
        self._message.handler(found, Context())
        return self.posts[before]


@pytest.fixture
def phone(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.setenv("CONNECTIONS_PER_TENANT", str(SLOTS))
    return Phone()


def leases(aws: Any) -> list[str]:
    """The connections that count."""
    (item,) = [item for item in items(aws, "LIMIT#") if "leases" in item]
    return sorted(lease.partition("#")[2] for lease in item["leases"]["SS"])


def test_a_client_that_comes_back_often_is_not_locked_out_by_the_connections_it_lost(
    phone: Phone, aws: Any
) -> None:
    assert phone.connect("c0") == 200
    ready = phone.init("c0")
    for number in range(1, 4 * SLOTS):
        assert phone.connect(f"c{number}") == 200
        asked = {name: ready[name] for name in ("session_id", "resume_token")}
        ready = phone.init(f"c{number}", **asked)
        assert ready["resumed"] is True
    assert leases(aws) == [f"c{4 * SLOTS - 1}"]


def test_connections_that_were_lost_before_their_init_lock_nobody_out(
    phone: Phone, aws: Any
) -> None:
    for number in range(SLOTS):
        assert phone.connect(f"lost{number}", ago_s=LOST_AFTER_S) == 200
    assert phone.connect("new") == 200
    assert phone.init("new")["type"] == "ready"
    assert leases(aws) == ["new"]


def test_an_end_that_is_told_only_by_half_costs_no_slot_for_long(
    phone: Phone, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise OSError("the table cannot be reached")

    disconnect = load("disconnect")
    for number in range(SLOTS):
        phone.connect(f"over{number}", ago_s=LOST_AFTER_S)
        phone.init(f"over{number}")
    with monkeypatch.context() as failing:
        failing.setattr(disconnect.environment.connection_slots, "return_slots", fails)
        ended = event("disconnect")
        ended["requestContext"]["connectionId"] = "over0"
        with pytest.raises(OSError, match="cannot be reached"):
            disconnect.handler(ended, Context())
    assert phone.connect("new") == 200
    assert leases(aws) == ["new", "over1", "over2"]


def test_a_session_that_is_not_moved_gives_no_slot_back(phone: Phone, aws: Any) -> None:
    for name in ("a", "b", "c"):
        phone.connect(name)
    ready = phone.init("a")
    refused = phone.init("b", session_id=ready["session_id"], resume_token="stolen")
    assert refused["code"] == "resume_denied"
    assert leases(aws) == ["a", "b", "c"]
    assert phone.connect("d") == 429


def test_a_handshake_that_fails_after_all_gives_its_slot_back(
    phone: Phone, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise OSError("the table cannot be reached")

    phone.connect("first")
    with monkeypatch.context() as failing:
        failing.setattr(phone._connect.environment.sessions.connections, "add", fails)
        with pytest.raises(OSError, match="cannot be reached"):
            phone.connect("second")
    assert leases(aws) == ["first"]
