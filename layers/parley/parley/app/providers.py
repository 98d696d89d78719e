"""The providers of a deployment, built from its choices."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import httpx

from parley.aws.api_keys import ApiKeys
from parley.config import Deployment
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
