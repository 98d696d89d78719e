"""Which resources need which, and circles of them, which CloudFormation cannot create."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from samwire.template.problems import Problem

Graph = Mapping[str, frozenset[str]]
"""What each resource needs, by logical id."""

_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[^}]*)?\}")
_SOURCE = 'AWS, "Handling circular dependency errors in AWS CloudFormation"'


def graph_of(
    resources: Mapping[str, Mapping[str, Any]], chosen: Callable[[Any], Any]
) -> dict[str, frozenset[str]]:
    """Return what each resource needs.

    Args:
        chosen: replaces every `Fn::If` by what its condition chooses.
    """
    return {
        logical_id: frozenset(
            name
            for name in (
                *listed(resource.get("DependsOn")),
                *_referred(chosen(resource.get("Properties") or {})),
            )
            if name in resources
        )
        for logical_id, resource in resources.items()
    }


def reached(graph: Graph, start: str) -> frozenset[str]:
    """Return all that a resource needs, directly or through others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), frozenset()) - found:
            found.add(name)
            waiting.append(name)
    return frozenset(found)


def circles(graph: Graph) -> list[Problem]:
    """Return a problem for each resource that is part of a circle."""
    problems = []
    for logical_id in graph:
        if logical_id in reached(graph, logical_id):
            circle = " → ".join([logical_id, *_way_back(graph, logical_id)])
            problems.append(
                Problem(logical_id, f"it needs itself, and cannot be created: {circle}.", _SOURCE)
            )
    return problems


def _way_back(graph: Graph, start: str) -> list[str]:
    """Return the shortest way from a resource to itself."""
    ways = [[name] for name in sorted(graph[start])]
    seen = set(graph[start])
    while ways:
        way = ways.pop(0)
        if way[-1] == start:
            return way
        for name in sorted(graph[way[-1]] - (seen - {start})):
            seen.add(name)
            ways.append([*way, name])
    return []


def listed(after: Any) -> list[str]:
    """Return the logical ids of a `DependsOn`."""
    return [after] if isinstance(after, str) else list(after or [])


def _referred(value: Any) -> Iterator[str]:
    """Return names that intrinsic functions in a value refer to."""
    if isinstance(value, list):
        for item in value:
            yield from _referred(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "Ref" and isinstance(item, str):
            yield item
        elif key == "Fn::GetAtt":
            first = item[0] if isinstance(item, list) and item else item
            yield str(first).split(".", 1)[0]
        elif key == "Fn::Sub":
            yield from _substituted(item)
        yield from _referred(item)


def _substituted(argument: Any) -> Iterator[str]:
    text, variables = argument, {}
    if isinstance(argument, list) and len(argument) == 2:
        text, variables = argument
    if isinstance(text, str):
        own = variables if isinstance(variables, dict) else {}
        yield from (name for name in _SUBSTITUTED.findall(text) if name not in own)
