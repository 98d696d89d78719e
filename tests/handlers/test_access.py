"""The connect and the token function where tokens are asked for, and whose sessions are whose."""

from __future__ import annotations

import json
import time
from types import ModuleType
from typing import Any

import pytest

from tests.handlers.loading import Context, event, items, load
from tests.unit.tokens import SECRET, shared_token


@pytest.fixture
def secret(aws: Any, services: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deployment that shares a secret; the client looks into its table."""
    services[1].create_secret(Name="tokens", SecretString=SECRET)
    monkeypatch.setenv("AUTH_MODE", "secret")
    monkeypatch.setenv("AUTH_SECRET_ARN", "tokens")
    monkeypatch.setenv("AUTH_TENANT_CLAIM", "tenant")
    return aws


def token_for(subject: str, tenant: str = "acme") -> str:
    return shared_token({"sub": subject, "tenant": tenant, "exp": int(time.time()) + 60})


def connect(app: ModuleType, token: str, connection_id: str) -> dict[str, Any]:
    """Invoke the connect function with a token, as API Gateway does."""
    found = event("connect-token")
    found["multiValueHeaders"]["Sec-WebSocket-Protocol"] = [f"parley, {token}"]
    found["requestContext"]["connectionId"] = connection_id
    answer: dict[str, Any] = app.handler(found, Context())
    return answer


class Messages:
    """The message function, with what it posts in a list."""

    def __init__(self) -> None:
        self._app = load("message")
        self.posts: list[dict[str, Any]] = []
        self._app.environment.management_api.post = self._take
        self._app.environment.management_api.close = lambda _endpoint, _connection_id: None

    def _take(self, _endpoint: str, _connection_id: str, frame: bytes) -> None:
        self.posts.append(json.loads(frame))

    def init(self, connection_id: str, **fields: Any) -> dict[str, Any]:
        """Send `init` over a connection; what it is answered with."""
        found = event("message-init")
        found["requestContext"]["connectionId"] = connection_id
        found["requestContext"]["messageId"] = f"init of {connection_id}"
        found["body"] = json.dumps({"type": "init", "protocol": 1, **fields})
        before = len(self.posts)
        self._app.handler(found, Context())
        return self.posts[before]


def test_a_good_token_is_let_in_and_the_connection_is_its_subjects(secret: Any) -> None:
    answer = connect(load("connect"), token_for("ada"), "c1")
    assert answer == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "parley"}}
    (connection,) = items(secret, "CONNECTION#")
    assert (connection["tenant"]["S"], connection["subject"]["S"]) == ("acme", "ada")


def test_the_sample_events_token_has_expired_and_is_refused_without_a_word(
    secret: Any, services: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    services[1].put_secret_value(SecretId="tokens", SecretString="a-sample-secret-of-32-characters")
    assert load("connect").handler(event("connect-token"), Context()) == {"statusCode": 401}
    assert items(secret, "CONNECTION#") == []
    logged = vars(caplog.records[-1])
    assert (logged["message"], logged["code"]) == ("connection_refused", "expired")
    token = event("connect-token")["headers"]["Sec-WebSocket-Protocol"].split(", ")[1]
    assert not any(part in repr(logged) for part in token.split("."))


def test_a_foreign_page_is_refused(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://other.example")
    assert load("connect").handler(event("connect"), Context()) == {"statusCode": 403}
    assert items(aws, "CONNECTION#") == []


def test_a_secret_that_is_too_short_lets_nobody_in(
    secret: Any, services: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    services[1].put_secret_value(SecretId="tokens", SecretString="short")
    assert connect(load("connect"), token_for("ada"), "c1") == {"statusCode": 503}
    logged = vars(caplog.records[-1])
    assert logged["why"] == "the secret has less than 32 bytes"
    assert "short" not in repr(logged)


def test_a_stolen_resume_token_opens_nothing_to_another_subject(secret: Any) -> None:
    app, messages = load("connect"), Messages()
    connect(app, token_for("ada"), "hers")
    ready = messages.init("hers")
    stolen = {name: ready[name] for name in ("session_id", "resume_token")}
    made_up = {**stolen, "session_id": "01JD0000000000000000000000"}
    for subject, tenant in (("mallory", "acme"), ("ada", "other"), ("acme/ada", "acme")):
        thief = f"{subject} of {tenant}"
        connect(app, token_for(subject, tenant), thief)
        refused = messages.init(thief, **stolen)
        assert (thief, refused["code"]) == (thief, "session_not_found")
        assert refused == messages.init(thief, **made_up), "nothing tells that it exists"
    connect(app, token_for("ada"), "hers-too")
    assert messages.init("hers-too", **stolen)["resumed"] is True, "and it lost nothing"


def test_the_token_function_makes_a_token_that_the_connect_function_takes(secret: Any) -> None:
    made = load("token").handler({**event("token"), "tenant": "acme"}, Context())
    assert set(made) == {"token", "expires_at"}
    assert connect(load("connect"), made["token"], "c1")["statusCode"] == 200


def test_the_token_function_explains_what_it_cannot_use(secret: Any) -> None:
    with pytest.raises(ValueError, match="tenant: expected 1 to 128 characters"):
        load("token").handler(event("token"), Context())
