"""How a deployment names its n8n webhook, and what its operator is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.n8n.fields import REPLY_FIELDS
from parley.version import VERSION

STAGE: Stage = "responder"
KEY = "n8n_header_value"
USER_AGENT = f"parley/{VERSION}"
"""n8n's option to ignore bots knows HTTP libraries by this header, and refuses them."""
TEST_PATH = "/webhook-test/"
OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "host"),
        *("origin", "traceparent", "transfer-encoding", "user-agent"),
    }
)
"""What a request says of itself: the key would stand in its place, or it in the key's."""

_LOOK = "look at the workflow's Executions in n8n"
ADVICE = {
    "not_registered": "No active workflow at {host} has this webhook{status}: activate (publish) "
    "the workflow, and check that {base_url} is its production URL.",
    "wrong_method": "The webhook does not take POST{status}: set HTTP Method to POST in the "
    "workflow's Webhook node.",
    "not_public": "The Chat Trigger is not public{status}: switch on Make Chat Publicly "
    "Available in it.",
    "not_found": "{host} has no n8n webhook there{status}: check {base_url}, which must be the "
    "production URL of a webhook.",
    "key": "The webhook refused the header{status}: check N8nHeaderName and {key} against the "
    "credential that the workflow's trigger names.",
    "address": "The webhook takes calls from some addresses alone{status}: clear the trigger's IP "
    "Whitelist and ask for a header in its place, because the addresses of functions change.",
    "no_credential": "The workflow's trigger asks for authentication but names no credential"
    "{status}: choose one in it.",
    "no_account": "The webhook asks for a user of n8n with accounts of their own{status}: set its "
    "Authentication to Header Auth.",
    "not_started": "The workflow could not be started{status}: a Respond to Webhook node needs "
    "Respond set to Using Respond to Webhook Node in the trigger, and the other way round; "
    f"{_LOOK}.",
    "workflow_failed": f"The workflow failed{{status}}: {_LOOK}.",
    "starts_only": "The workflow answers before it has run: set Respond in its Webhook node to "
    "Streaming, or to When Last Node Finishes.",
    "hosted_chat": "The Chat Trigger answers over a socket of its own: set its Response Mode to "
    "Streaming in place of Using Response Nodes.",
    "no_data": "The workflow ended without an answer: have its last node, or its Respond to "
    "Webhook node, return the reply.",
    "streams_nothing": "The workflow streamed nothing: switch on Enable Streaming in its agent.",
    "file": "The workflow answers with a file: have it answer with text or JSON.",
    "page": "{host} answers with a web page: check that {base_url} is the production URL of a "
    "webhook, and that no login page stands before it.",
    "no_text": f"The workflow's answer has no text in {', '.join(REPLY_FIELDS)}: have it return "
    "the reply as `output`.",
    "redirect": "{host} sends elsewhere{status}: have the workflow respond with text in place of "
    "a redirect, and check whether {base_url} must begin with https.",
    "request": f"The webhook refused the request{{status}}: check {{base_url}}, and {_LOOK}.",
    "timeout": "The workflow did not answer in time{status}: switch on streaming in its trigger "
    "and its agent, or make it quicker.",
    "no_protocol": "What {host} answers is not what n8n answers: check {base_url}.",
    "empty": "The workflow's agent answered with nothing.",
}
"""One sentence for each way in which a workflow is set up wrongly or fails."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A deployment's webhook.

    Attributes:
        header: the name of the header that lets a request in.
        key: gives the header's value; an empty one is not sent.
    """

    endpoint: Endpoint
    header: str
    key: ApiKey

    @property
    def url(self) -> str:
        """Where the workflow listens."""
        return self.endpoint.base_url

    async def headers(self) -> tuple[dict[str, str], str]:
        """Return the headers of every request, and the value that must be in no log."""
        value = await self.key()
        headers = {"User-Agent": USER_AGENT}
        if value:
            headers[self.header] = value
        return headers, value


def find_webhook(context: ProviderContext) -> Webhook:
    """Return the deployment's webhook.

    Raises:
        ConfigurationError: there is none, it is a test URL, or its header is one of the request's.
    """
    endpoint = context.endpoint(
        STAGE, called="n8n", base_url="", model="", key_parameter="N8nHeaderValue"
    )
    if not endpoint.base_url:
        raise ConfigurationError(
            f"n8n needs {endpoint.url_parameter}: the production URL of a workflow's webhook."
        )
    if TEST_PATH in f"{_path(endpoint.base_url)}/":
        raise ConfigurationError(
            f"{endpoint.url_parameter} is a test URL of n8n, which takes one call after each "
            "click on Listen: use the production URL, with /webhook/ in place of /webhook-test/."
        )
    name = context.text("N8N_HEADER_NAME", "Authorization")
    if name.lower() in OWN_HEADERS:
        raise ConfigurationError(
            f"N8nHeaderName is {name}, which every request has already: choose another name, in "
            "the trigger's credential too."
        )
    return Webhook(endpoint, name, context.key(KEY))


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # the first call says so
        return ""
