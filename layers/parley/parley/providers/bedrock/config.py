"""How a deployment names a model on Amazon Bedrock: its region, its address, its id."""

from __future__ import annotations

import re

from parley.errors import ConfigurationError
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

_HOST = re.compile(
    r"\bbedrock-(?P<door>runtime|mantle)[a-z-]*\.(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+-\d)\."
)
"""Also of a VPC's endpoint, whose name has more before it."""
_GEOGRAPHIES = {
    "ap-northeast-1": "jp",
    "ap-northeast-3": "jp",
    "ap-southeast-2": "au",
    "ap-southeast-4": "au",
}
_SMALLEST_CLAUDE = "anthropic.claude-haiku-5-5"
"""As at Anthropic. `template.yaml` allows the role no other where LlmModel is empty."""


def bedrock_endpoint(context: ProviderContext, path: str, model: str) -> Endpoint:
    """Return where replies are written, and by which model.

    Args:
        path: of the API, e.g. `/anthropic`.
        model: where the deployment names none.

    Raises:
        ConfigurationError: the address is one that the function's role may not call.
    """
    region = read_region(context)
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return context.endpoint(
        "responder",
        called="Amazon Bedrock",
        base_url=f"https://bedrock-runtime.{region}.{domain}{path}",
        model=model,
        key_parameter="the function's role",
    )


def read_region(context: ProviderContext) -> str:
    """Return the region that is asked: of `LlmBaseUrl`, or the function's own.

    Raises:
        ConfigurationError: there is none, or the address is one that the function's role may not
            call.
    """
    url = context.stage_text("responder", "BASE_URL")
    parameter = context.stage_parameter("responder", "BASE_URL")
    named = _HOST.search(url)
    if named and named["door"] == "mantle":
        raise ConfigurationError(
            f"{parameter} is at bedrock-mantle, which the functions' roles may not call: take the "
            f"same path at bedrock-runtime.{named['region']}.amazonaws.com, or leave it empty."
        )
    region = named["region"] if named else context.text("AWS_REGION")
    if not region:
        raise ConfigurationError(
            f"AWS_REGION is not set, and {parameter} names no region: Bedrock's keys need one."
        )
    return region


def claude_model(region: str) -> str:
    """Return the id of the Claude that replies where the deployment names none.

    It is an inference profile, without which newer models cannot be called. What is said stays in
    the region's geography, if Claude has a profile there.
    """
    geography = _GEOGRAPHIES.get(region) or region.partition("-")[0]
    if region.startswith("us-gov-"):
        geography = "us-gov"
    prefix = geography if geography in ("us", "eu", "jp", "au", "us-gov") else "global"
    return f"{prefix}.{_SMALLEST_CLAUDE}"
