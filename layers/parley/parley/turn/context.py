"""What a turn works with: what its environment keeps for all turns, and the parts of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parley.aio.tasks import BackgroundClose
from parley.config import Deployment
from parley.limits.turn_quota import Meter
from parley.protocol.turn_request import TurnRequest
from parley.providers.circuit_breaker import CircuitBreakers
from parley.providers.llm import Responder
from parley.providers.stt import Transcriber
from parley.providers.tts import Synthesizer
from parley.storage.history_cache import HistoryCache
from parley.storage.item_codec import TurnClaim
from parley.storage.recordings import Recordings
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.input.poller import InboxPoller
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Outbox
from parley.turn.output.sender import Sender
from parley.turn.persistence import TurnPersistence
from parley.turn.playback_times import PlaybackTimes
from parley.turn.stop import TurnStop


@dataclass(frozen=True, slots=True)
class Services:
    """What a turn works with.

    Attributes:
        log: told about trouble that the client is not; takes an event name and fields.
        circuits: what is known of the providers' health in this environment.
        meter: charges for what is used; None if nobody does.
        recordings: where turns are recorded; None if they are not.
    """

    store: SessionStore
    turns: TurnStore
    history: HistoryCache
    transcriber: Transcriber
    responder: Responder
    synthesizer: Synthesizer
    deployment: Deployment
    log: Callable[[str, dict[str, Any]], None]
    circuits: CircuitBreakers = field(default_factory=CircuitBreakers)
    meter: Meter | None = None
    recordings: Recordings | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What one attempt at one turn is made of, for those who carry it out."""

    request: TurnRequest
    claim: TurnClaim
    services: Services
    outbox: Outbox
    poster: Sender
    watching: InboxPoller
    keeping: TurnPersistence
    sounding: PlaybackTimes
    timings: TurnLatency
    closing: BackgroundClose
    stop: TurnStop
