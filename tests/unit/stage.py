"""A stage for whole turns over in-memory services: one session, its services, its connection."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from parley.agents.catalog import AgentCatalog
from parley.clock import now_ms
from parley.config import Deployment
from parley.limits.request_rates import RequestRates
from parley.protocol.messages import Audio, Error, ReplyText, TurnEnd
from parley.protocol.turn_request import TurnRequest
from parley.providers.circuit_breaker import CircuitBreakers
from parley.storage.history_cache import HistoryCache
from parley.storage.inbox_entries import (
    AckEntry,
    ChunkEntry,
    EndEntry,
    InterruptEntry,
    PauseEntry,
)
from parley.storage.rounds import RoundStore
from parley.tools.toolbox import NO_TOOLS, Toolbox
from parley.turn.context import SecondProviders, TurnServices
from parley.turn.finish import Outcome
from parley.turn.start import run_turn
from tests.unit.fakes import (
    DEADLINE_S,
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    Wire,
    spoken,
)
from tests.unit.memory import REF, MemoryStore

REPLY = "Sure, the old bridge is open. It closes at nine, and then you have to swim."


class Stage:
    """One session, its services and its connection."""

    def __init__(
        self,
        *,
        transcriber: FakeTranscriber | None = None,
        responder: FakeResponder | None = None,
        synthesizer: FakeSynthesizer | None = None,
        second: SecondProviders | None = None,
        toolbox: Toolbox = NO_TOOLS,
        **deployment: Any,
    ) -> None:
        """Take settings as `deployment`; only tests of timeouts set one that they meet."""
        self.store = MemoryStore()
        self.store.open_session()
        self.wire = Wire()
        self.transcriber = transcriber or FakeTranscriber()
        self.responder = responder or FakeResponder()
        self.synthesizer = synthesizer or FakeSynthesizer()
        self.circuits = CircuitBreakers()
        self.second = second or SecondProviders()
        self.acknowledges = True
        self.session_key: str | None = "the session key"
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.deployment = replace(
            Deployment(table="t", provider_timeout_s=5, listen_timeout_s=5), **deployment
        )
        self.toolbox = toolbox
        self.request_rates: RequestRates | None = None
        self.agents: AgentCatalog | None = None
        self.rounds = RoundStore(self.store.client.table)
        self.history = HistoryCache(self.store, self.deployment.history_messages, rounds=40)

    @property
    def services(self) -> TurnServices:
        """What the turns work with."""
        return TurnServices(
            self.store,
            self.store,
            self.history,
            self.transcriber,
            self.responder,
            self.synthesizer,
            self.deployment,
            lambda event, fields: self.logged.append((event, fields)),
            breakers=self.circuits,
            read_session_key=self.read_session_key,
            second=self.second,
            toolbox=self.toolbox,
            rounds=self.rounds,
            request_rates=self.request_rates,
            agent_catalog=self.agents,
        )

    async def read_session_key(self) -> str:
        """Read the key as a turn does."""
        if self.session_key is None:
            raise OSError("the secret cannot be read")
        return self.session_key

    async def run(
        self,
        text: str | None = "Hello there.",
        turn_id: str = "t1",
        *,
        remaining_s: float = 60,
        owner: str = "me",
        connection_id: str = "c",
        **request: Any,
    ) -> Outcome | None:
        """Run a turn to its end, for a client on this stage's wire that acknowledges it."""
        wire = self.wire

        def acknowledge(event: Any) -> None:
            if isinstance(event, TurnEnd) and self.acknowledges:
                self.store.inboxes.put_ack(REF, turn_id, AckEntry(event.attempt, event.seq))

        wire.on_event = acknowledge
        fields = {"received_at_ms": int(time.time() * 1000), **request}
        asked = TurnRequest(REF, turn_id, connection_id, "https://x", text=text, **fields)
        async with asyncio.timeout(DEADLINE_S):
            return await run_turn(
                asked,
                self.services,
                wire.post,
                owner,
                remaining_s=lambda: remaining_s,
                cold=False,
            )

    def say(self, text: str, turn_id: str = "t1", *, end: bool = True, size: int = 8) -> None:
        """Put an utterance into the inbox."""
        pcm = spoken(text)
        chunks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        for seq, audio in enumerate(chunks, 1):
            self.store.inboxes.put_chunk(REF, turn_id, ChunkEntry(seq, audio))
        if end:
            entry = EndEntry(len(chunks), int(time.time() * 1000))
            self.store.inboxes.put_end(REF, turn_id, entry)

    def pause(self, number: int, chunks: int, turn_id: str = "t1", *, over: bool = False) -> None:
        """Say that speech pauses, or that it goes on after that."""
        self.store.inboxes.put_pause(REF, turn_id, PauseEntry(number, chunks, is_over=over))

    def end(self, chunks: int, pause: int | None = None, turn_id: str = "t1") -> None:
        """Say that the user has finished."""
        entry = EndEntry(chunks, int(time.time() * 1000), pause)
        self.store.inboxes.put_end(REF, turn_id, entry)

    def interrupt(self, played_ms: float | None, turn_id: str = "t1") -> None:
        self.store.inboxes.put_interrupt(REF, turn_id, InterruptEntry(played_ms, now_ms()))

    def there(self) -> list[Any]:
        """What was posted to another connection than the turn's first."""
        posted = zip(self.wire.events, self.wire.addresses, strict=True)
        return [event for event, address in posted if address.connection_id != "c"]

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.wire.of(ReplyText))

    @property
    def audio(self) -> bytes:
        return b"".join(event.audio for event in self.wire.of(Audio))

    @property
    def errors(self) -> list[Error]:
        return self.wire.of(Error)

    @property
    def history_texts(self) -> list[tuple[str, str, str | None]]:
        return [(m.role, m.text, m.heard) for m in self.store.messages()]


def holding(*first: str) -> tuple[FakeResponder, asyncio.Event]:
    """A responder that says something and then waits until it may go on."""
    event = asyncio.Event()
    return FakeResponder([[*first, event, " And so on."]]), event
