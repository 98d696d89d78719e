"""Chooses the route of an HTTP API ("Working with routes for HTTP APIs").

The most specific path wins, then a method by name before `ANY`, and `$default` takes what
nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from samwire.gateway.selection import DEFAULT
from samwire.template.api_model import HttpRoute

_VARIABLE = re.compile(r"\{([^{}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Match:
    """A route, and what stood for the variables in its path."""

    route: HttpRoute
    parameters: dict[str, str]


def matching(routes: Iterable[HttpRoute], method: str, path: str) -> Match | None:
    """Return the route for a request; None if there is none.

    Args:
        path: without the stage, decoded.
    """
    best: tuple[tuple[list[int], bool], Match] | None = None
    fallback = None
    for route in routes:
        if route.key == DEFAULT:
            fallback = Match(route, {})
            continue
        wanted, _, pattern = route.key.partition(" ")
        if wanted not in (method, "ANY"):
            continue
        found = _matched(pattern, path)
        if found is None:
            continue
        kinds, parameters = found
        rank = (kinds, wanted == "ANY")
        if best is None or rank < best[0]:
            best = (rank, Match(route, parameters))
    return best[1] if best is not None else fallback


def _matched(pattern: str, path: str) -> tuple[list[int], dict[str, str]] | None:
    """Return how specific each segment is (less is more), and the variables."""
    parts = pattern.strip("/").split("/")
    segments = path.lstrip("/").split("/")
    kinds: list[int] = []
    parameters: dict[str, str] = {}
    for index, part in enumerate(parts):
        variable = _VARIABLE.fullmatch(part)
        if variable and variable[2]:
            rest = "/".join(segments[index:])
            return None if not rest else ([*kinds, 2], {**parameters, variable[1]: rest})
        if index >= len(segments):
            return None
        if variable:
            if not segments[index]:
                return None
            parameters[variable[1]] = segments[index]
        elif part != segments[index]:
            return None
        kinds.append(1 if variable else 0)
    return (kinds, parameters) if len(parts) == len(segments) else None
