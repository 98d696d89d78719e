"""What a turn works with: what its environment keeps for all turns, and what is its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from parley.agents.catalog import AgentCatalog
from parley.aio.tasks import BackgroundClose
from parley.config import Deployment
from parley.limits.request_rates import RequestRates
from parley.limits.turn_quota import Meter
from parley.protocol.messages import Endpointing
from parley.protocol.turn_request import TurnRequest
from parley.providers import registry
from parley.providers.candidates import Candidate, Candidates, P
from parley.providers.circuit_breaker import CircuitBreaker, CircuitBreakers
from parley.providers.llm import Responder
from parley.providers.stt import Transcriber
from parley.providers.tts import Synthesizer
from parley.storage.history_cache import HistoryCache
from parley.storage.item_codec import TurnAttempt
from parley.storage.recordings import Recordings
from parley.storage.rounds import RoundStore
from parley.storage.sessions import SessionStore
from parley.storage.table_calls import TableCalls
from parley.storage.turns import TurnStore
from parley.tools.toolbox import NO_TOOLS, Toolbox
from parley.turn.audio_recorder import AudioRecorder
from parley.turn.input.poller import InboxPoller
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Outbox
from parley.turn.output.sender import Post, Sender
from parley.turn.persistence import TurnPersistence
from parley.turn.playback_times import PlaybackTimes
from parley.turn.stop import TurnStop


async def _read_nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class SecondProviders:
    """Who takes over when the first provider of a stage fails; None where nobody does."""

    transcriber: Transcriber | None = None
    responder: Responder | None = None
    synthesizer: Synthesizer | None = None
    breakers: CircuitBreakers = field(default_factory=CircuitBreakers)


@dataclass(frozen=True, slots=True)
class TurnServices:
    """What the turns of one environment share.

    Attributes:
        log: told about trouble that the client is not; takes an event name and fields.
        breakers: one circuit breaker for each provider.
        second: who takes over when one of the three providers fails.
        meter: charges for what is used; None if nobody does.
        recordings: where turns are recorded; None if they are not.
        toolbox: the tools; there may be none.
        rounds: where rounds of tool calls are recorded; None where there are no tools.
        request_rates: counts them; None if they are not limited.
        agent_catalog: the agents; None for the one that the deployment's variables describe.
        table_calls: counts calls of the table.
        read_session_key: reads the key that sessions and users are hashed with for the responder;
            empty if the deployment's secret has none.
    """

    sessions: SessionStore
    turns: TurnStore
    history: HistoryCache
    transcriber: Transcriber
    responder: Responder
    synthesizer: Synthesizer
    deployment: Deployment
    log: Callable[[str, dict[str, Any]], None]
    breakers: CircuitBreakers = field(default_factory=CircuitBreakers)
    meter: Meter | None = None
    recordings: Recordings | None = None
    read_session_key: Callable[[], Awaitable[str]] = _read_nothing
    second: SecondProviders = field(default_factory=SecondProviders)
    toolbox: Toolbox = NO_TOOLS
    rounds: RoundStore | None = None
    request_rates: RequestRates | None = None
    agent_catalog: AgentCatalog | None = None
    table_calls: TableCalls = field(default_factory=TableCalls)

    @property
    def agents(self) -> AgentCatalog:
        """The agents of the deployment."""
        if self.agent_catalog is not None:
            return self.agent_catalog
        deployment = self.deployment
        return AgentCatalog(deployment.system_prompt, deployment.settings_policy)

    def transcribers(self, endpointing: Endpointing) -> Candidates[Transcriber]:
        """Return who may transcribe an utterance, the first one first.

        Args:
            endpointing: who finds its end. A second transcriber that cannot is left out.
        """
        second, name = self.second, self.deployment.fallback_transcriber
        able = not name or endpointing in registry.TRANSCRIBERS[name].endpointing
        return _candidates(
            Candidate(self.transcriber, self.breakers.transcriber),
            second.transcriber if able else None,
            second.breakers.transcriber,
        )

    def responders(self) -> Candidates[Responder]:
        """Return who may reply, the first one first."""
        return _candidates(
            Candidate(self.responder, self.breakers.responder),
            self.second.responder,
            self.second.breakers.responder,
        )

    def synthesizers(self) -> Candidates[Synthesizer]:
        """Return who may speak, the first one first."""
        return _candidates(
            Candidate(self.synthesizer, self.breakers.synthesizer),
            self.second.synthesizer,
            self.second.breakers.synthesizer,
            self.deployment.fallback_voice,
        )


def _candidates(
    first: Candidate[P], second: P | None, breaker: CircuitBreaker, voice: str = ""
) -> Candidates[P]:
    return [first] if second is None else [first, Candidate(second, breaker, voice)]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The Lambda invocation that runs a turn.

    Attributes:
        owner: names it in the turn's lease.
        post: sends a frame to a connection.
        remaining_s: returns how much of its time is left.
        cold: whether its environment is fresh.
    """

    owner: str
    post: Post
    remaining_s: Callable[[], float]
    cold: bool


@dataclass(frozen=True, slots=True)
class TurnContext:
    """One attempt at one turn, as `Pipeline`, `TurnFinisher` and `Delivery` share it."""

    request: TurnRequest
    attempt: TurnAttempt
    services: TurnServices
    invocation: Invocation
    outbox: Outbox
    sender: Sender
    poller: InboxPoller
    persistence: TurnPersistence
    playback: PlaybackTimes
    recorder: AudioRecorder
    latency: TurnLatency
    stop: TurnStop
    background_close: BackgroundClose
