"""Which Python functions run on: the one that runs this. Functions of other runtimes do not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from samwire.template.api_model import Authorizer, Integration
from samwire.template.intrinsics import TemplateError
from samwire.template.model import Function, Stack

OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""This Python, as templates name it."""


def other_runtimes(functions: Iterable[Function]) -> list[str]:
    """Return a sentence for every runtime that functions ask for and do not get."""
    wanted = {function.runtime for function in functions} - {OWN}
    return [
        f"Functions of {runtime} run on {OWN} here, the Python of this command."
        for runtime in sorted(wanted)
    ]


def refuse_what_cannot_run(stack: Stack) -> None:
    """Refuse a stack whose APIs need functions that do not run here.

    They would be answered 500, every time, long after the start has printed a URL.

    Raises:
        TemplateError: names the function, the reason, and the routes that need it.
    """
    needed: dict[str, dict[str, list[str]]] = {}
    for api, key, function in _wired(stack):
        name = function.rpartition(":function:")[2].partition(":")[0]
        if name in stack.unserved:
            routes = needed.setdefault(name, {}).setdefault(api, [])
            if key not in routes:
                routes.append(key)
    if not needed:
        return
    raise TemplateError(
        "\n".join(_sentence(stack.unserved[name], by) for name, by in needed.items())
    )


def _sentence(reason: str, by: dict[str, list[str]]) -> str:
    routes = "; ".join(f"{api}: {', '.join(keys)}" for api, keys in by.items())
    return (
        f"{reason}. An API needs it ({routes}), which would answer with an error here. Take these "
        "routes out of the template that you start, for example by a Condition."
    )


def _wired(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Return logical id of an API, route and function, of all that APIs invoke."""
    for api in stack.apis:
        for route in api.routes.values():
            yield from _functions(api.logical_id, route.key, route.integration, route.authorizer)
    for http_api in stack.http_apis:
        for each in http_api.routes:
            yield from _functions(http_api.logical_id, each.key, each.integration, each.authorizer)


def _functions(
    api: str, key: str, integration: Integration, authorizer: Authorizer | None
) -> Iterator[tuple[str, str, str]]:
    if integration.function:
        yield api, key, integration.function
    if authorizer is not None:
        yield api, f"{key} (its authorizer)", authorizer.function
