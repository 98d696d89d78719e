"""The open models on Amazon Bedrock, and OpenAI's, by its Chat Completions API.

Claude, Nova and Llama are not served there.
"""

from __future__ import annotations

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.bedrock.checks import build_bedrock_check
from parley.providers.bedrock.config import bedrock_endpoint, read_region
from parley.providers.bedrock.key import BedrockKeys
from parley.providers.checks import ProviderCheck
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.openai_chat.responder import OpenAIChat


def build_responder(context: ProviderContext) -> OpenAIChat:
    """Build the deployment's responder.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    endpoint = _endpoint(context)
    keys = BedrockKeys(endpoint, read_region(context))
    return OpenAIChat(context, endpoint, keys)


def build_check(_stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of the responder.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    endpoint = _endpoint(context)
    url = f"{endpoint.base_url}/models"
    return build_bedrock_check(build_responder, context, endpoint, url)


def _endpoint(context: ProviderContext) -> Endpoint:
    if not context.stage_text("responder", "MODEL"):
        parameter = context.stage_parameter("responder", "MODEL")
        raise ConfigurationError(
            f"openai_chat_bedrock needs {parameter}: the id of a model that Bedrock serves over "
            "Chat Completions in the region, such as openai.gpt-oss-20b-1:0."
        )
    return bedrock_endpoint(context, "/openai/v1", "")
