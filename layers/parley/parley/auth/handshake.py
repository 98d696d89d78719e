"""What a `$connect` event says about who wants to connect: origin, subprotocols, token.

A browser cannot set headers of a WebSocket handshake, but subprotocols it can: the token goes
there, beside the name `parley`, which is what the answer names. In the query string it would
end up in access logs; it is taken from there only if there is none among the subprotocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUBPROTOCOL = "parley"
"""Offered by clients beside a token, and the only one that is ever answered."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's request to connect.

    Attributes:
        origins: `Origin` headers; a browser sends one, others often none.
        offers_parley: whether `parley` is among the subprotocols, and so must be answered.
        tokens: what may be the token; one, unless the client is confused.
    """

    origins: tuple[str, ...]
    offers_parley: bool
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Handshake:
        """Read a `$connect` event of a WebSocket API's Lambda proxy integration."""
        offers = [
            offer.strip()
            for value in _headers(event, "sec-websocket-protocol")
            for offer in value.split(",")
            if offer.strip()
        ]
        offers_parley = SUBPROTOCOL in offers
        tokens = [offer for offer in offers if offer != SUBPROTOCOL] if offers_parley else []
        if not tokens:
            query = event.get("queryStringParameters") or {}
            tokens = [query["token"]] if query.get("token") else []
        return cls(tuple(_headers(event, "origin")), offers_parley, tuple(tokens))


def _headers(event: Mapping[str, Any], name: str) -> list[str]:
    """All values of a header, whatever the case of its name."""
    single, several = event.get("headers") or {}, event.get("multiValueHeaders") or {}
    found = [value for key, values in several.items() if key.lower() == name for value in values]
    return found or [value for key, value in single.items() if key.lower() == name]
