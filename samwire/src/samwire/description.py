"""What a running stack says of itself: where everything is, and what is not as on AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samwire.gateway.mapping import unreadable_templates
from samwire.listeners import Address
from samwire.template.api_model import WebSocketApi
from samwire.template.model import Stack


def description_of(
    stack: Stack, addresses: Mapping[str, Address], main: Address, local: Callable[[str], str]
) -> dict[str, Any]:
    """Return what follows from a template and where its APIs listen, as JSON.

    Args:
        addresses: of the APIs, by domain name.
        main: the address that is for everything else as well.
        local: puts this machine's addresses into a text in place of AWS's.
    """
    stages = [api for api in stack.apis if api.domain_name == main.domain_name]
    return {
        **_urls(main, stages[0].stage if stages else ""),
        "apis": _by_api(
            (api.logical_id, api.stage, _urls(addresses[api.domain_name], api.stage))
            for api in stack.apis
        ),
        "http_apis": _by_api(
            (api.logical_id, api.stage, _http_urls(addresses[api.domain_name], api.stage))
            for api in stack.http_apis
        ),
        "static_url": f"http://localhost:{main.port}/",
        "inspector_url": f"http://localhost:{main.port}/_local",
        "outputs": {name: local(text) for name, text in stack.outputs.items()},
        "functions": {function.logical_id: function.name for function in stack.functions},
        "tables": {table.logical_id: table.name for table in stack.tables},
        "notices": [*stack.notices, *_template_faults(stack.apis)],
    }


def _template_faults(apis: list[WebSocketApi]) -> list[str]:
    """Return what is wrong with mapping templates, route by route."""
    return [
        f"{api.logical_id}: {route.key}: {fault}"
        for api in apis
        for route in api.routes.values()
        for fault in unreadable_templates(route.integration)
    ]


def _by_api(stages: Iterable[tuple[str, str, dict[str, str]]]) -> dict[str, dict[str, Any]]:
    """Return the URLs of each API: those of its first stage, and under `stages` those of all."""
    found: dict[str, dict[str, Any]] = {}
    for logical_id, stage, urls in stages:
        found.setdefault(logical_id, {**urls, "stages": {}})["stages"][stage] = urls
    return found


def _urls(address: Address, stage: str) -> dict[str, str]:
    """Return where a stage of a WebSocket API is."""
    return {
        "websocket_url": f"ws://localhost:{address.port}/{stage}",
        "wss_url": f"wss://{address.domain_name}/{stage}",
        "management_url": f"https://{address.domain_name}/{stage}",
    }


def _http_urls(address: Address, stage: str) -> dict[str, str]:
    """Return where a stage of an HTTP API is."""
    path = "" if stage == "$default" else f"/{stage}"
    return {
        "http_url": f"http://localhost:{address.port}{path}",
        "https_url": f"https://{address.domain_name}{path}",
    }
