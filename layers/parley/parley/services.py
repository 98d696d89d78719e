"""What a turn works with: what its environment keeps for all turns, and the parts of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parley.circuit import Circuits
from parley.history import History
from parley.invocation import TurnRequest
from parley.items import Claim
from parley.keeping import Keeping
from parley.limits.usage import Meter
from parley.outbox import Outbox
from parley.posting import Poster
from parley.recordings import Recordings
from parley.responders import Responder
from parley.settings import Deployment
from parley.sounding import Sounding
from parley.speech import Synthesizer, Transcriber
from parley.store import Store
from parley.tasks import Closing
from parley.timings import Timings
from parley.turns import Turns
from parley.watching import Watching


@dataclass(frozen=True, slots=True)
class Services:
    """What a turn works with.

    Attributes:
        log: told about trouble that the client is not; takes an event name and fields.
        circuits: what is known of the providers' health in this environment.
        meter: charges for what is used; None if nobody does.
        recordings: where turns are recorded; None if they are not.
    """

    store: Store
    turns: Turns
    history: History
    transcriber: Transcriber
    responder: Responder
    synthesizer: Synthesizer
    deployment: Deployment
    log: Callable[[str, dict[str, Any]], None]
    circuits: Circuits = field(default_factory=Circuits)
    meter: Meter | None = None
    recordings: Recordings | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What one attempt at one turn is made of, for those who carry it out."""

    request: TurnRequest
    claim: Claim
    services: Services
    outbox: Outbox
    poster: Poster
    watching: Watching
    keeping: Keeping
    sounding: Sounding
    timings: Timings
    closing: Closing
