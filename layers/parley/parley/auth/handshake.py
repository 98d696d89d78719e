"""Reads the handshake of a `$connect` event: origin, subprotocols, token.

A browser cannot set the headers of a WebSocket handshake, but it can set subprotocols. So the token
is one of them, after the name `parley`, which the answer names. A token in the query string would
end up in access logs: it counts only if the subprotocols have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUBPROTOCOL = "parley"
"""Clients offer it with the token. The answer names no other."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's request to connect.

    Attributes:
        origins: the `Origin` headers; a browser sends one, other clients often none.
        offers_parley: whether `parley` is among the subprotocols.
        tokens: the tokens; a correct client sends at most one.
    """

    origins: tuple[str, ...]
    offers_parley: bool
    tokens: tuple[str, ...]

    @classmethod
    def read_event(cls, event: Mapping[str, Any]) -> Handshake:
        """Read a `$connect` event of a WebSocket API's Lambda proxy integration."""
        offers = [
            offer.strip()
            for value in _header_values(event, "sec-websocket-protocol")
            for offer in value.split(",")
            if offer.strip()
        ]
        offers_parley = SUBPROTOCOL in offers
        tokens = [offer for offer in offers if offer != SUBPROTOCOL] if offers_parley else []
        if not tokens:
            query = event.get("queryStringParameters") or {}
            tokens = [query["token"]] if query.get("token") else []
        return cls(tuple(_header_values(event, "origin")), offers_parley, tuple(tokens))


def _header_values(event: Mapping[str, Any], name: str) -> list[str]:
    """Return all values of a header, whatever the case of its name."""
    single, several = event.get("headers") or {}, event.get("multiValueHeaders") or {}
    found = [value for key, values in several.items() if key.lower() == name for value in values]
    return found or [value for key, value in single.items() if key.lower() == name]
