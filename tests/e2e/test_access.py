"""Who may talk: what attackers try at the door, and with other people's sessions; and what
becomes of connections when an issuer changes its keys, or is not there.

A stack that takes an issuer's tokens. Beside every attack somebody else's session goes on.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.e2e.issuer import AUDIENCE, TENANT_CLAIM, Issuer
from tests.e2e.raw import RawClient, Reply, opened
from tests.e2e.stack import Stack, Standins, running_stack
from tests.e2e.until import until
from tests.unit.tokens import SigningKey, confused_token, shared_token, unsigned_token

pytestmark = pytest.mark.timeout(120)
OWN_PAGE = "https://app.example"


@dataclass
class World:
    """A deployment, the issuer whose users may talk to it, and another issuer."""

    stack: Stack
    issuer: Issuer
    stranger: Issuer

    @property
    def key(self) -> SigningKey:
        return self.issuer.keys[0]

    def claims(self, **changes: Any) -> dict[str, Any]:
        return self.issuer.claims("mallory", **changes)

    def in_s(self, seconds: int) -> int:
        return int(time.time()) + seconds


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[World]:
    issuer, stranger = Issuer(SigningKey("key-1")), Issuer(SigningKey("key-1"))
    parameters = {
        "AuthMode": "oidc",
        "SessionsPerMinutePerSubject": "0",  # one user talks beside every attack
        "TurnsPerMinutePerSubject": "0",
        # Ten recognisers share two cores.
        "ProviderTimeoutSeconds": "60",
        "ListenTimeoutSeconds": "30",
        "AuthIssuer": issuer.url,
        "AuthAudience": AUDIENCE,
        "AuthTenantClaim": TENANT_CLAIM,
        "AllowedOrigins": f"{OWN_PAGE},https://*.example.org",
    }
    folder = tmp_path_factory.mktemp("access")
    with (
        issuer.serving(),
        stranger.serving(),
        running_stack(folder, parameters=parameters, standins=standins) as stack,
    ):
        yield World(stack, issuer, stranger)


@pytest.fixture
async def ada(world: World) -> AsyncIterator[RawClient]:
    """Somebody's session, which must not notice anything."""
    async with opened(world.stack.url, token=world.issuer.token("ada")) as client:
        yield client
        reply = await client.say("Am I undisturbed?")
        assert reply.end["reason"] == "completed"
        assert client.no_others()


async def knock(url: str, protocols: list[str] | None = None, origin: str | None = None) -> int:
    """The status that answers a handshake; 101 if it is let in."""
    offered = [Subprotocol(protocol) for protocol in protocols] if protocols else None
    try:
        async with connect(url, subprotocols=offered, origin=Origin(origin) if origin else None):
            return 101
    except InvalidStatus as refused:
        response = refused.response
    assert not response.body, "the answer says nothing more"
    return response.status_code


Protocols = Callable[[World], list[str] | None]


def with_token(make: Callable[[World], str]) -> Protocols:
    return lambda world: ["parley", make(world)]


ATTACKS: dict[str, tuple[Protocols, str]] = {
    "no token": (lambda world: None, "no_token"),
    "no token, but the protocol": (lambda world: ["parley"], "no_token"),
    "a token without the protocol": (lambda world: [world.issuer.token()], "no_token"),
    "two tokens": (
        lambda world: ["parley", world.issuer.token(), world.issuer.token("eve")],
        "malformed",
    ),
    "garbage": (with_token(lambda world: "garbage"), "malformed"),
    "empty parts": (with_token(lambda world: ".."), "malformed"),
    "huge": (with_token(lambda world: "x" * 8_300), "too_large"),
    "expired": (
        with_token(lambda w: w.key.token(w.claims(exp=w.in_s(-61)))),
        "expired",
    ),
    "never expires": (with_token(lambda w: w.key.token(w.claims(exp=...))), "no_expiry"),
    "not yet valid": (
        with_token(lambda w: w.key.token(w.claims(nbf=w.in_s(70)))),
        "not_yet_valid",
    ),
    "issued in the future": (
        with_token(lambda w: w.key.token(w.claims(iat=w.in_s(70)))),
        "not_yet_valid",
    ),
    "wrong audience": (
        with_token(lambda w: w.key.token(w.claims(aud="other-app"))),
        "wrong_audience",
    ),
    "no audience": (with_token(lambda w: w.key.token(w.claims(aud=...))), "wrong_audience"),
    "wrong issuer": (
        with_token(lambda w: w.key.token(w.claims(iss=w.stranger.url))),
        "wrong_issuer",
    ),
    "no subject": (with_token(lambda w: w.key.token(w.claims(sub=...))), "bad_subject"),
    "a subject too long": (
        with_token(lambda w: w.key.token(w.claims(sub="x" * 257))),
        "bad_subject",
    ),
    "alg none": (with_token(lambda w: unsigned_token(w.claims())), "wrong_algorithm"),
    "alg None": (with_token(lambda w: unsigned_token(w.claims(), "None")), "wrong_algorithm"),
    "the public key as a shared secret": (
        with_token(lambda w: confused_token(w.claims(), w.key.pem, w.key.kid)),
        "wrong_algorithm",
    ),
    "a shared secret": (with_token(lambda w: shared_token(w.claims())), "wrong_algorithm"),
    "another issuer's key by the same name": (
        with_token(lambda w: w.stranger.keys[0].token(w.claims())),
        "bad_signature",
    ),
    "a changed signature": (
        with_token(lambda w: w.key.token(w.claims())[:-8] + "AAAAAAAA"),
        "bad_signature",
    ),
    "another one's claims under a good signature": (
        with_token(lambda w: _exchanged(w.key.token(w.claims()), w.issuer.token("ada"))),
        "bad_signature",
    ),
    "unknown key": (
        with_token(lambda w: w.key.token(w.claims(), kid="key-2")),
        "unknown_key",
    ),
    "a key that the token brings along": (
        with_token(
            lambda w: w.stranger.keys[0].token(
                w.claims(), kid="brought", jwk=w.stranger.keys[0].jwk, jku=f"{w.stranger.url}/keys"
            )
        ),
        "unknown_key",
    ),
}


def _exchanged(signed: str, claimed: str) -> str:
    header, _, signature = signed.split(".")
    return f"{header}.{claimed.split('.')[1]}.{signature}"


async def refused_knock(
    stack: Stack, protocols: list[str] | None, origin: str | None = None
) -> tuple[int, str, str]:
    """The status that answers a handshake, why, as the log says, and what has been logged."""
    before = stack.log.stat().st_size
    status = await knock(stack.url, protocols, origin)

    def refusals() -> list[str]:
        lines = stack.logged_since(before).splitlines()
        return [line for line in lines if "connection_refused" in line]

    lines = await until(refusals)
    logged = stack.logged_since(before)
    return status, lines[-1].partition('"code":"')[2].partition('"')[0], logged


async def test_nobody_is_let_in_without_a_good_token(world: World, ada: RawClient) -> None:
    wrong: dict[str, Any] = {}
    for attack, (make, expected) in ATTACKS.items():
        protocols = make(world)
        status, code, logged = await refused_knock(world.stack, protocols)
        told = [each[-40:] for each in protocols or [] if len(each) > 10 and each[-40:] in logged]
        if (status, code, told) != (401, expected, []):
            wrong[attack] = (status, code, f"logged: {told}")
    assert wrong == {}


async def test_what_else_is_refused_at_the_handshake(world: World, ada: RawClient) -> None:
    for token in ("", "garbage"):
        assert await knock(f"{world.stack.url}?token={token}") == 401, token
    too_long = ["parley", "x" * 11_000]
    assert await knock(world.stack.url, too_long) in (400, 431), "API Gateway takes no such token"
    no_tenant = world.key.token(world.claims(**{TENANT_CLAIM: ...}))
    assert await knock(world.stack.url, ["parley", no_tenant]) == 403


FOREIGN = ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"]


async def test_a_foreign_page_is_refused_even_with_its_users_token(
    world: World, ada: RawClient
) -> None:
    for origin in FOREIGN:
        shown = ["parley", world.issuer.token("ada")]
        status, code, _ = await refused_knock(world.stack, shown, origin)
        assert (status, code) == (403, "foreign_origin"), origin


@pytest.mark.parametrize("origin", [OWN_PAGE, "https://a.b.example.org", None])
async def test_the_deployments_own_pages_are_let_in(world: World, origin: str | None) -> None:
    assert await knock(world.stack.url, ["parley", world.issuer.token("ada")], origin) == 101


async def test_a_good_token_in_the_query_string_is_taken(world: World) -> None:
    async with opened(f"{world.stack.url}?token={world.issuer.token('ada')}") as client:
        assert (await client.say("Hello.")).end["reason"] == "completed"


async def test_the_answer_names_the_protocol_and_never_the_token(world: World) -> None:
    protocols = [Subprotocol("parley"), Subprotocol(world.issuer.token())]
    async with connect(world.stack.url, subprotocols=protocols) as socket:
        assert socket.subprotocol == "parley"


# --- other people's sessions -------------------------------------------------------------------

OTHERS = [("mallory", "acme"), ("ada", "evil-corp"), ("acme/ada", "acme"), ("ADA", "acme")]


async def refusal_of(world: World, subject: str, tenant: str, **init: Any) -> dict[str, Any]:
    """What `init` is answered with, to whom this token stands for."""
    token = world.issuer.token(subject, tenant)
    async with opened(world.stack.url, token=token, init=False) as client:
        await client.send(type="init", protocol=1, **init)
        return await client.other()


async def test_a_stolen_resume_token_is_worth_nothing_to_another(
    world: World, ada: RawClient
) -> None:
    stolen = {name: ada.ready[name] for name in ("session_id", "resume_token")}
    made_up = {"session_id": "01JD0000000000000000000000", "resume_token": stolen["resume_token"]}
    for subject, tenant in OTHERS:
        refused = await refusal_of(world, subject, tenant, **stolen)
        assert refused["code"] == "session_not_found", (subject, tenant)
        assert refused == await refusal_of(world, subject, tenant, **made_up), (
            "whether there is such a session cannot be told"
        )


async def test_its_owner_comes_back_with_a_new_token(world: World) -> None:
    async with opened(world.stack.url, token=world.issuer.token("bob")) as first:
        await first.say("Remember this.")
        kept = {name: first.ready[name] for name in ("session_id", "resume_token")}
    async with opened(world.stack.url, token=world.issuer.token("bob"), **kept) as second:
        assert second.ready["resumed"] is True
        assert [message["role"] for message in second.ready["history"]] == ["user", "assistant"]


async def test_another_ones_turn_cannot_be_reached_by_its_name(
    world: World, ada: RawClient
) -> None:
    turn = ada.new_turn_id()
    await ada.send(type="audio_start", turn_id=turn, format="pcm_16000", endpointing="manual")
    async with opened(world.stack.url, token=world.issuer.token("mallory")) as mallory:
        for message in (
            {"type": "audio_chunk", "seq": 1, "audio": "AAA="},
            {"type": "audio_end", "chunks": 0},
            {"type": "ack", "seq": 1},
        ):
            await mallory.send(turn_id=turn, **message)
        await mallory.send(type="interrupt", turn_id=turn, played_ms=0)  # of none of hers: no word
        await mallory.send(type="ping", sent_at=1, turn_id=turn)
        assert (await mallory.other())["type"] == "pong"
        told = [event["type"] for event in mallory.reply(turn).events]
        assert told == ["error", "turn_end"], "hers has never begun"
        await mallory.send(type="end")
        assert (await mallory.other())["type"] == "session_ended"
    assert ada.reply(turn).events == [], "the turn goes on listening"
    await ada.send(type="interrupt", turn_id=turn, played_ms=0)
    assert (await ada.ended(turn)).end["reason"] == "interrupted"


async def test_the_same_turn_id_names_a_turn_of_each(world: World, ada: RawClient) -> None:
    async with opened(world.stack.url, token=world.issuer.token("bob")) as bob:
        mine, theirs = await asyncio.gather(
            ada.say("I am Ada.", "the-same"), bob.say("I am Bob.", "the-same")
        )
    assert mine.end["reason"] == theirs.end["reason"] == "completed"


NAMES = [
    "Alice",
    "Robert",
    "Peter",
    "Mary",
    "David",
    "Susan",
    "Thomas",
    "Laura",
    "Simon",
    "Emma",
]
SPOKEN_AT_ONCE = 4
"""As many as the stand-in has recognisers."""


async def test_ten_sessions_at_once_share_nothing(
    world: World, speech: Callable[[str], bytes]
) -> None:
    question = speech("What is my name?")
    world.stack.standins.reset()

    async def ask(number: int, client: RawClient) -> Reply:
        if number < SPOKEN_AT_ONCE:
            return await client.speak(question, speed=4)
        return await client.say("What is my name?")

    async with AsyncExitStack() as open_ones:
        clients = []
        for name in NAMES:
            session = opened(world.stack.url, token=world.issuer.token(name))
            clients.append(await open_ones.enter_async_context(session))
        first = [await each.say(f"My name is {n}.") for each, n in zip(clients, NAMES, strict=True)]
        second = await asyncio.gather(*(ask(*numbered) for numbered in enumerate(clients)))
        assert all(client.no_others() for client in clients)
    assert len({client.ready["session_id"] for client in clients}) == len(NAMES)
    for reply in (*first, *second):
        reply.check_gapless()
    for name, reply in zip(NAMES, second, strict=True):
        assert name in reply.text, (name, reply.text)
        assert not words(reply.text) & {n.lower() for n in NAMES if n != name}
    records = [r for r in world.stack.elevenlabs.requests() if "multi-stream" in r["path"]]
    made = [world.stack.elevenlabs.audio(record["id"], "out") for record in records]
    unheard = Counter(made) - Counter(reply.audio for reply in (*first, *second))
    # What was begun in vain before an utterance was over is made too, and nobody hears it.
    assert len(made) == len(NAMES) * 2 + unheard.total()


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


# --- the issuer's keys -------------------------------------------------------------------------


@pytest.fixture
def unknown(world: World) -> Iterator[World]:
    """Nothing is known of the issuer's keys yet; what a test does to them is undone."""
    world.stack.renew("ConnectFunction")
    keys, name = world.issuer.keys, world.issuer.name
    yield world
    world.issuer.keys, world.issuer.name, world.issuer.down = keys, name, False
    world.stack.renew("ConnectFunction")


async def test_old_and_new_keys_are_good_while_an_issuer_rotates_them(unknown: World) -> None:
    url, issuer = unknown.stack.url, unknown.issuer
    old, new = unknown.key, SigningKey("new", "ES256")
    async with opened(url, token=old.token(issuer.claims("ada"))) as ada:
        issuer.keys = [new, old]
        async with opened(url, token=new.token(issuer.claims("bob"))) as bob:
            assert (await bob.say("Hello.")).end["reason"] == "completed"
        assert await knock(url, ["parley", old.token(issuer.claims("ada"))]) == 101
        assert (await ada.say("Hello.")).end["reason"] == "completed"


async def test_while_an_issuer_is_down_its_users_go_on_and_come_back(unknown: World) -> None:
    url, token = unknown.stack.url, unknown.issuer.token("ada")
    async with opened(url, token=token) as ada:
        unknown.issuer.down = True
        assert (await ada.say("Hello.")).end["reason"] == "completed"
        kept = {name: ada.ready[name] for name in ("session_id", "resume_token")}
    async with opened(url, token=token, **kept) as again:
        assert again.ready["resumed"] is True


async def test_an_issuer_that_was_never_reached_lets_nobody_in_until_it_is_there(
    unknown: World,
) -> None:
    url, token, before = unknown.stack.url, unknown.issuer.token("ada"), len(unknown.stack.logs())
    unknown.issuer.down = True
    assert await knock(url, ["parley", token]) == 503
    assert "HTTP 500" in unknown.stack.logs()[before:]
    unknown.issuer.down = False
    async with asyncio.timeout(30):
        while await knock(url, ["parley", token]) != 101:
            await asyncio.sleep(0.5)


async def test_a_discovery_document_of_another_issuer_is_not_believed(unknown: World) -> None:
    before = len(unknown.stack.logs())
    unknown.issuer.name = f"{unknown.issuer.url}/other"
    assert await knock(unknown.stack.url, ["parley", unknown.issuer.token("ada")]) == 503
    assert "another issuer" in unknown.stack.logs()[before:]
