"""Who the agent of a session is that is opened over HTTP: the backend says it, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parley.agents.agent import Agent
from parley.agents.catalog import AgentCatalog
from parley.agents.file import AgentFiles
from parley.auth.identity import Identity
from parley.config import DEFAULT_SETTINGS
from parley.http.turns import ROUTES
from parley.principal import ANONYMOUS, Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Settings
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.item_codec import Session
from tests.unit.http.dispatching import NOW_S, post
from tests.unit.http.test_turn_routes import Desk
from tests.unit.tokens import shared_token, unsigned_token

OURS = "You are the deployment's own."
POLICY = SettingsPolicy(DEFAULT_SETTINGS)
ADA = Principal("default", "ada")
CLAIMS = {"sub": "ada", "exp": NOW_S + 60}
SAID: dict[str, Any] = {
    "prompt": "You help {{name}}.",
    "variables": {"name": "Ada"},
    "greeting": "Hello {{name}}.",
    "tools": ["book"],
    "metadata": {"crm": 7},
}


@pytest.fixture
def catalog(tmp_path: Path) -> AgentCatalog:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "host.toml").write_text('public = true\nprompt = "You book tables."')
    (tmp_path / "agents" / "staff.toml").write_text('prompt = "You see all."')
    return AgentCatalog(OURS, POLICY, files=AgentFiles([str(tmp_path)]))


@pytest.fixture
def desk(catalog: AgentCatalog) -> Desk:
    desk = Desk(POLICY, agents=catalog)
    desk.store.sessions.clear()
    return desk


def ask(
    desk: Desk, key: str, body: dict[str, Any] | str, token: str = "", *, open_to_all: bool = False
) -> tuple[int, dict[str, Any]]:
    """Send a request; return the status and the answer."""
    (route,) = (route for route in ROUTES if route.key == key)
    return post(route, desk.turns, body, token, open_to_all=open_to_all)


def opened(desk: Desk) -> Session:
    return next(each for each in desk.store.sessions.values() if each.session_id != "s")


def test_the_backend_says_who_the_agent_is(desk: Desk, catalog: AgentCatalog) -> None:
    token = shared_token({**CLAIMS, "parley_backend": True})
    status, answer = ask(desk, "POST /sessions", {"agent": {**SAID, "agent": "staff"}}, token)
    assert (status, answer["agent"]) == (201, "staff")
    assert catalog.find_agent(opened(desk)) == Agent(
        "You help Ada.", "Hello Ada.", ["book"], {"crm": 7}, name="staff"
    )


@pytest.mark.parametrize("field", sorted(SAID))
@pytest.mark.parametrize(
    ("claims", "secret"),
    [
        ({}, None),
        ({"parley_backend": False}, None),
        ({"sub": "backend", "parley_agent": {"prompt": "x"}}, None),
    ],
    ids=["plain", "not the backend's", "of another user"],
)
def test_a_browsers_token_says_nothing_of_the_agent(
    desk: Desk, field: str, claims: dict[str, Any], secret: None
) -> None:
    token = shared_token({**CLAIMS, **claims})
    for agent in ({field: SAID[field]}, {field: SAID[field], "agent": "host"}):
        status, problem = ask(desk, "POST /sessions", {"agent": agent}, token)
        assert (status, problem["code"]) == (403, "unauthorized")
        assert problem["field"] == f"agent.{field}"
        assert "parley_backend" in problem["detail"]
    assert len(desk.store.sessions) == 1


@pytest.mark.parametrize(
    "token",
    [
        unsigned_token({**CLAIMS, "parley_backend": True}),
        shared_token({**CLAIMS, "parley_backend": True}, "another secret of more than 32 bytes."),
        shared_token({**CLAIMS, "parley_backend": 1}),
        shared_token({**CLAIMS, "exp": NOW_S - 61, "parley_backend": True}),
    ],
    ids=["unsigned", "of another secret", "nearly the claim", "expired"],
)
def test_a_token_that_is_not_good_is_nobodys(desk: Desk, token: str) -> None:
    assert ask(desk, "POST /sessions", {"agent": SAID}, token)[0] == 401
    assert len(desk.store.sessions) == 1


def test_where_authentication_is_off_nobody_is_the_backend(desk: Desk) -> None:
    status, problem = ask(desk, "POST /sessions", {"agent": SAID}, open_to_all=True)
    assert status == 403
    assert "AuthMode is off" in problem["detail"]


def test_a_client_may_choose_a_public_agent(desk: Desk, catalog: AgentCatalog) -> None:
    token = shared_token(CLAIMS)
    status, answer = ask(desk, "POST /sessions", {"agent": {"agent": "host"}}, token)
    assert (status, answer["agent"]) == (201, "host")
    assert opened(desk).backend_agent == NO_OVERRIDES
    status, problem = ask(desk, "POST /sessions", {"agent": {"agent": "staff"}}, token)
    assert (status, problem["field"]) == (400, "agent.agent")


@pytest.mark.parametrize(
    ("agent", "field"),
    [
        ({"prompt": "x" * 8_001}, "agent.prompt"),
        ({"greeting": "x" * 1_001}, "agent.greeting"),
        ({"variables": {"name": "x" * 501}}, "agent.variables"),
        ({"variables": {"Name": "x"}}, "agent.variables"),
        ({"metadata": {"x": "y" * 2_048}}, "agent"),
        ({"metadata": "x"}, "agent.metadata"),
        ({"prmpt": "x"}, "agent"),
        ({"agent": "gone"}, "agent.agent"),
        ({"agents": ["host"]}, "agent.agents"),
    ],
)
def test_what_is_no_agent_is_refused_by_its_field(
    desk: Desk, agent: dict[str, Any], field: str
) -> None:
    token = shared_token({**CLAIMS, "parley_backend": True})
    status, problem = ask(desk, "POST /sessions", {"agent": agent}, token)
    assert (status, problem["code"]) == (400, "bad_request")
    assert problem["field"].startswith(field)


def test_a_name_that_comes_twice_is_refused(desk: Desk) -> None:
    token = shared_token({**CLAIMS, "parley_backend": True})
    body = '{"agent": {"prompt": "one", "prompt": "two"}}'
    status, problem = ask(desk, "POST /sessions", body, token)
    assert (status, "twice" in problem["detail"]) == (400, True)


def test_a_turn_sets_nothing_of_its_agent(desk: Desk, catalog: AgentCatalog) -> None:
    evil = {**SAID, "agent": SAID, "parley_agent": SAID, "backend_agent": SAID}
    for token in (shared_token(CLAIMS), shared_token({**CLAIMS, "parley_backend": True})):
        status, answer = ask(
            desk, "POST /turns", {"text": "Hello.", "settings": evil, **evil}, token
        )
        assert status == 200
        session = desk.store.get_session(ADA.session(answer["session_id"]))
        assert session is not None
        assert catalog.find_agent(session) == Agent(OURS)


def test_the_first_turn_has_the_agent_of_its_token(desk: Desk, catalog: AgentCatalog) -> None:
    token = shared_token({**CLAIMS, "parley_agent": {"agent": "staff"}})
    _, answer = ask(desk, "POST /turns", {"text": "Hello."}, token)
    session = desk.store.get_session(ADA.session(answer["session_id"]))
    assert session is not None
    assert catalog.find_agent(session).instructions == "You see all."


def test_a_turn_cannot_be_named_like_the_agents(desk: Desk) -> None:
    body = {"text": "Hello.", "turn_id": "agent-greeting"}
    status, problem = ask(desk, "POST /turns", body, shared_token(CLAIMS))
    assert (status, problem["field"]) == (400, "turn_id")
    assert desk.ran == []


def test_nobody_is_the_backend_by_default() -> None:
    assert not Identity(ANONYMOUS).is_backend
    assert Identity(ADA, Settings()).agent == AgentOverrides()
