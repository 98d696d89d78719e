"""Time that AWS's own hops take and a machine does not, for planning.

There is no profile called `aws`: AWS publishes no median of these hops, and no measurement
was found that one could rely on (docs/guide.md says what there is). One gives one's own.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from samwire.faults.plan import BadPlan, Milliseconds


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Milliseconds that are added to each hop.

    Attributes:
        message_ms: from a client's message until its function is invoked.
        post_ms: that a call of `@connections` takes.
        event_ms: from an asynchronous Invoke until the function is run.
    """

    message_ms: Milliseconds = 0.0
    post_ms: Milliseconds = 0.0
    event_ms: Milliseconds = 0.0


def latency_of_option(text: str) -> Latency:
    """Return what `--latency` means: JSON, or the name of a file that holds it.

    Raises:
        BadPlan: it cannot be read.
    """
    if text == "aws":
        raise BadPlan(
            "--latency: nobody has published what AWS's hops take. Measure them in your account "
            'and give them: --latency \'{"message_ms": …, "post_ms": …, "event_ms": …}\'.'
        )
    try:
        source = text if text.lstrip().startswith("{") else Path(text).read_bytes()
        return msgspec.json.decode(source, type=Latency)
    except OSError as problem:
        raise BadPlan(f"--latency: {text} cannot be read: {problem.strerror}.") from None
    except msgspec.DecodeError as problem:
        known = ", ".join(Latency.__struct_fields__)
        raise BadPlan(f"--latency: expected JSON with {known}. {problem}.") from None
