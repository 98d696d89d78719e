"""API Gateway's limits, and what is assumed where nobody has established what it does."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


class OptionError(Exception):
    """An option is wrong; a sentence that says which, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """API Gateway's limits ("Amazon API Gateway quotas"); shorter ones make them testable.

    Attributes:
        idle_s: without a message in either direction for this long, a connection is closed.
        duration_s: no connection lives longer.
        connections_per_s: new connections of the account.
        requests_per_s: requests of the account: messages, posts and HTTP requests.
        burst: how many of them at once.
    """

    idle_s: float = 600.0
    duration_s: float = 7200.0
    connections_per_s: float = 500.0
    requests_per_s: float = 10_000.0
    burst: float = 5_000.0


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed; each can be changed with `--assume name=value`.

    Attributes:
        two_way: `RouteResponseSelectionExpression` without a route response sends replies.
        strict_frames: a frame of more than 32 KB closes the connection (1009) rather than
            being remarked on.
        serialize: messages of one connection are invoked one after the other.
        pings_keep_alive: a client's ping counts as a message for the idle limit.
        compression: `permessage-deflate` is negotiated.
        json_template: a single template under `application/json` is taken without an
            expression that selects it.
        throttle_message: the message of the frame about throttling.
        connect_timeout_status: of a handshake whose `$connect` takes too long.
        delete_code, delete_reason: of the close frame after DELETE.
        expiry_code, expiry_reason: of the close frame at the idle limit and at the longest
            duration.
        lost_code, lost_reason: what `$disconnect` is told of a connection that was lost.
        lost_delay_s: how long after the loss.
        malformed_id_status: of `@connections` for what is no connection id.
        gone_body, too_large_body, limit_body: of 410, 413 and 429 of `@connections`.
        binary_post: what becomes of posted bytes that are no text: `replace` them by
            U+FFFD, or `refuse` them with 400.
    """

    two_way: bool = False
    strict_frames: bool = False
    serialize: bool = False
    pings_keep_alive: bool = False
    compression: bool = False
    json_template: bool = True
    throttle_message: str = "Too Many Requests"
    connect_timeout_status: int = 504
    delete_code: int = 1000
    delete_reason: str = ""
    expiry_code: int = 1001
    expiry_reason: str = "Going away"
    lost_code: int = 1006
    lost_reason: str = ""
    lost_delay_s: float = 0.0
    malformed_id_status: int = 400
    gone_body: str = ""
    too_large_body: str = '{"message":"Payload too large"}'
    limit_body: str = '{"message":"Limit exceeded"}'
    binary_post: str = "replace"

    def changed(self, settings: list[str]) -> Assumptions:
        """Return these with `name=value` settings; `-` and `_` are the same in names.

        Raises:
            OptionError: there is no such name, or its value is not allowed.
        """
        changes: dict[str, Any] = {}
        for setting in settings:
            name, separator, text = setting.partition("=")
            known = name.replace("-", "_")
            if known not in _NAMES:
                allowed = ", ".join(sorted(n.replace("_", "-") for n in _NAMES))
                raise OptionError(f"--assume: there is no {name!r}. There are: {allowed}.")
            value = text if separator else "yes"
            changes[known] = _value(known, value, getattr(self, known))
        return replace(self, **changes)


_NAMES = frozenset(field.name for field in fields(Assumptions))
_FLAGS = {"yes": True, "no": False, "true": True, "false": False}
_CLOSE_CODES = ("delete_code", "expiry_code")


def _value(name: str, text: str, before: Any) -> Any:
    shown = name.replace("_", "-")
    if isinstance(before, bool):
        if text not in _FLAGS:
            raise OptionError(f"--assume {shown}: yes or no, not {text!r}.")
        return _FLAGS[text]
    if name == "binary_post" and text not in ("replace", "refuse"):
        raise OptionError(f"--assume {shown}: replace or refuse, not {text!r}.")
    if isinstance(before, str):
        return text
    try:
        number = type(before)(text)
    except ValueError:
        raise OptionError(f"--assume {shown}: a number, not {text!r}.") from None
    if name in _CLOSE_CODES and not (number in (1000, 1001) or 3000 <= number < 5000):
        raise OptionError(f"--assume {shown}: 1000, 1001 or 3000 to 4999, not {text!r}.")
    if name.endswith("_status") and not 400 <= number < 600:
        raise OptionError(f"--assume {shown}: 400 to 599, not {text!r}.")
    if number < 0:
        raise OptionError(f"--assume {shown}: not negative.")
    return number
