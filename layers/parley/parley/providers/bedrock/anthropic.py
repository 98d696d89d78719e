"""Claude on Amazon Bedrock, by Anthropic's own Messages API."""

from __future__ import annotations

from parley.protocol.messages import Stage
from parley.providers.anthropic.config import models_url
from parley.providers.anthropic.responder import AnthropicMessages
from parley.providers.bedrock.checks import build_bedrock_check
from parley.providers.bedrock.config import bedrock_endpoint, claude_model, read_region
from parley.providers.bedrock.key import BedrockKeys, bearer_header
from parley.providers.checks import ProviderCheck
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint


def build_responder(context: ProviderContext) -> AnthropicMessages:
    """Build the deployment's responder.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    endpoint = _endpoint(context)
    keys = BedrockKeys(endpoint, read_region(context))
    return AnthropicMessages(context, endpoint, keys, bearer_header)


def build_check(_stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of the responder.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    endpoint = _endpoint(context)
    return build_bedrock_check(build_responder, context, endpoint, models_url(endpoint))


def _endpoint(context: ProviderContext) -> Endpoint:
    return bedrock_endpoint(context, "/anthropic", claude_model(read_region(context)))
