"""The providers of a deployment, built from its choices."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx

from parley.aws.api_keys import ApiKeys
from parley.config import Deployment
from parley.errors import ConfigurationError
from parley.protocol.messages import Settings, Stage
from parley.providers import registry
from parley.providers.checks import ProviderCheck, Unhealthy
from parley.providers.context import ProviderContext


def build_context(
    deployment: Deployment,
    keys: ApiKeys,
    http_client: httpx.AsyncClient,
    log: Callable[[str, dict[str, Any]], None],
) -> ProviderContext:
    """Build what the deployment's providers are built from."""
    return ProviderContext(
        variables=os.environ,
        read_key=keys.read,
        http_client=http_client,
        defaults=deployment.defaults,
        timeout_s=deployment.provider_timeout_s,
        log=log,
    )


def build_checks(deployment: Deployment, context: ProviderContext) -> dict[str, ProviderCheck]:
    """Build the checks of the deployment's providers, by stage; of those that take over when the
    first one fails, by `fallback_` and the stage.

    What a provider refuses when it is built is what its check finds.
    """
    second = fallback_context(deployment, context)
    checks: dict[str, ProviderCheck] = {}
    for stage, (name, fallback) in deployment.providers.items():
        if check := _build_check(stage, name, context):
            checks[stage] = check
        if fallback and (check := _build_check(stage, fallback, second)):
            checks[f"fallback_{stage}"] = check
    return checks


def fallback_context(deployment: Deployment, context: ProviderContext) -> ProviderContext:
    """Return what the providers are built from that take over when the first ones fail."""
    defaults = context.defaults
    if deployment.fallback_voice:
        defaults = defaults.merged_with(Settings(voice=deployment.fallback_voice))
    return replace(context, is_fallback=True, defaults=defaults)


def _build_check(stage: Stage, name: str, context: ProviderContext) -> ProviderCheck | None:
    try:
        return registry.build_check(stage, name, context)
    except ConfigurationError as error:
        sentence = str(error)

        async def refuse() -> None:
            raise Unhealthy(sentence)

        return ProviderCheck(refuse)
