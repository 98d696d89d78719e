"""Origins of the pages that a stack serves, for a template that says which origins it takes.

A browser lets every page open a WebSocket to this machine. The template's own rule keeps other
pages out; this gives it the stack's own pages, and tells the developer when it refuses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from samwire.listeners import Address

_ANY = "*"
_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Which an address that listens on this machine alone is opened by."""


@dataclass(frozen=True, slots=True)
class OwnOrigins:
    """Which origins a parameter of the template lists.

    Attributes:
        parameter: its name; empty if the template has none.
        value: its value.
    """

    parameter: str = ""
    value: str = ""

    @classmethod
    def of(cls, main: Address, parameter: str, given: Mapping[str, str]) -> OwnOrigins:
        """Add the pages of an address to what is given; every origin stays every origin.

        Args:
            given: values of parameters.
        """
        entries = [entry.strip() for entry in given.get(parameter, "").split(",")]
        entries = [entry for entry in entries if entry]
        if _ANY in entries:
            return cls(parameter, _ANY)
        own = [f"http://{host}:{main.port}" for host in _HOSTS]
        own += [f"https://{host}:{main.tls_port}" for host in _HOSTS]
        return cls(parameter, ",".join(dict.fromkeys([*own, *entries])))

    def middleware(self, log: Callable[[str], None]) -> Middleware:
        """Return a middleware that logs which page an API has refused, and what lets it in."""

        @web.middleware
        async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await handler(request)
            origin = request.headers.get("Origin")
            listed = self.value.split(",")
            if self.parameter and origin and answer.status == 403 and origin not in listed:
                log(
                    f"a page of {_shown(origin)} was refused (403); {self.parameter} lists "
                    f"{self.value}. To let it in, give {self.parameter} that origin as well: "
                    f"--parameter-overrides {self.parameter}={_shown(origin)}"
                )
            return answer

        return tell


def _shown(origin: str) -> str:
    """Return an origin as a log may show it: what is sent as one may be anything."""
    return "".join(c if c.isprintable() else "?" for c in origin[:200])
