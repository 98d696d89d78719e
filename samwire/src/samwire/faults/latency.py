"""Time that AWS's own hops take and a machine does not.

Each hop takes a fixed time, or one that is drawn: log-normally, from a median and a 99th
percentile, as latencies of services mostly are distributed. Every hop draws from a generator of its
own, so that the same seed and the same calls in the same order give the same times.
"""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Annotated

import msgspec

from samwire.faults.plan import BadPlan, Milliseconds

LATENCY = "LOCAL_STACK_LATENCY"
"""The variable that tells moto's process of it, in JSON."""
_P99 = 2.3263478740408408
"""Standard deviations from the median to the 99th percentile of a normal distribution."""


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A time that differs from call to call.

    Attributes:
        median_ms: more than 0.
        p99_ms: what 99 of 100 calls do not exceed; at least the median.
    """

    median_ms: Annotated[float, msgspec.Meta(gt=0)]
    p99_ms: Milliseconds

    def __post_init__(self) -> None:
        if self.p99_ms < self.median_ms:
            raise ValueError("p99_ms must be at least median_ms")

    def drawn_ms(self, chance: Random) -> float:
        """Draw a time."""
        deviation = math.log(self.p99_ms / self.median_ms) / _P99
        return self.median_ms * math.exp(chance.gauss(0, deviation))


Hop = Milliseconds | Spread


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is added to each hop, in milliseconds.

    Attributes:
        seed: of what is drawn.
        handshake_ms: from a handshake until `$connect` or its authorizer is invoked.
        message_ms: from a client's message until its integration is called.
        invoke_ms: from a synchronous invocation until the function runs, and back.
        event_ms: from an asynchronous Invoke until the function is run.
        cold_start_ms: before a new environment initialises.
        post_ms: that a call of `@connections` takes.
        dynamodb_ms: that a call of DynamoDB takes; not with `--dynamodb-endpoint`.
    """

    seed: int = 0
    handshake_ms: Hop = 0.0
    message_ms: Hop = 0.0
    invoke_ms: Hop = 0.0
    event_ms: Hop = 0.0
    cold_start_ms: Hop = 0.0
    post_ms: Hop = 0.0
    dynamodb_ms: Hop = 0.0


AWS = Latency(
    handshake_ms=Spread(median_ms=10, p99_ms=50),
    message_ms=Spread(median_ms=5, p99_ms=10),
    invoke_ms=Spread(median_ms=10, p99_ms=50),
    event_ms=Spread(median_ms=70, p99_ms=225),
    cold_start_ms=Spread(median_ms=125, p99_ms=300),
    post_ms=Spread(median_ms=10, p99_ms=30),
    dynamodb_ms=Spread(median_ms=4, p99_ms=10),
)
"""What is known of AWS's hops, and what is assumed: docs/guide.md says where each is from."""


class Delays:
    """Draws the time of each hop."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._chances: dict[str, Random] = {}

    def next_s(self, hop: str) -> float:
        """Return how long a hop takes this time, in seconds.

        Args:
            hop: an attribute of `Latency`.
        """
        time_ms: float | Spread = getattr(self._latency, hop)
        if isinstance(time_ms, Spread):
            if hop not in self._chances:
                seed = f"{self._latency.seed}/{hop}"
                self._chances[hop] = Random(seed)  # nosec B311  # to be repeated is the point
            return time_ms.drawn_ms(self._chances[hop]) / 1000
        return time_ms / 1000


def latency_of_option(text: str) -> Latency:
    """Return what `--latency` means: `aws`, JSON, or the name of a file that holds it.

    Raises:
        BadPlan: it cannot be read.
    """
    if text == "aws":
        return AWS
    try:
        source = text if text.lstrip().startswith("{") else Path(text).read_bytes()
        return msgspec.json.decode(source, type=Latency)
    except OSError as problem:
        raise BadPlan(
            f"--latency: {text} cannot be read: {problem.strerror}. It is aws, a file or JSON."
        ) from None
    except msgspec.DecodeError as problem:
        known = ", ".join(Latency.__struct_fields__)
        raise BadPlan(f"--latency: expected JSON with {known}. {problem}.") from None
