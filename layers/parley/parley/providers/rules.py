"""How a provider may be called: how soon again, and whether at all."""

from __future__ import annotations

from dataclasses import dataclass

RETRY_DELAYS_S = (0.1, 2.0)
"""A short failure is over in 100 ms. A longer one gets one more try while the user still waits
(livekit-agents has the same schedule)."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """How the calls to one provider are hedged and tried again.

    Attributes:
        repeatable: whether a request that was sent may be sent again. A workflow that sends a mail
            would send it twice: such a provider is never hedged, and tried again only if nothing
            has reached it.
        hedge_after_s: the least time of silence until a second call starts in parallel; the
            deployment's HedgeAfterSeconds if that is more.
        timeout_s: the least time that the provider may stay silent; the deployment's
            ProviderTimeoutSeconds if that is more.
        retry_delays_s: the waits between calls that fail while the answer is owed.
        has_tokens: whether what is asked is a model itself, whose tokens can be estimated.
    """

    repeatable: bool = True
    hedge_after_s: float = 0.0
    timeout_s: float = 0.0
    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S
    has_tokens: bool = True


STANDARD = CallRules()
"""Of a provider that is quick, and whose requests change nothing."""
