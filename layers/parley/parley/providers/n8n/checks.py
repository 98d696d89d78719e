"""Whether n8n listens at the webhook, as far as can be known without running the workflow."""

from __future__ import annotations

import re

from parley.protocol.messages import Stage
from parley.providers.checks import ProviderCheck, get_answer, make_unhealthy
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.n8n.config import ADVICE, find_webhook
from parley.providers.n8n.statuses import diagnose

ORIGIN = "https://parley.invalid"
"""With an Origin, n8n says which methods the webhook is registered for. It answers so for any."""

_WITH_PARAMETER = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}/(?!chat$)")
"""A path that may have a parameter in it: n8n names no methods of those."""


def build_check(_stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of the responder.

    Raises:
        ConfigurationError: there is no webhook, or its URL is for tests.
    """
    webhook = find_webhook(context)

    async def check() -> None:
        headers, key = await webhook.headers()
        diagnosis = Diagnosis(webhook.endpoint, key, advice=ADVICE)
        # What may be sent there; that runs nothing.
        answer = await get_answer(
            context.http_client, webhook.url, {**headers, "Origin": ORIGIN}, diagnosis, "OPTIONS"
        )
        if not answer.is_success and answer.status_code != 405:  # a proxy may know no OPTIONS
            raise make_unhealthy(
                diagnose(diagnosis, answer.status_code, answer.headers, answer.content)
            )
        methods = answer.headers.get("access-control-allow-methods")
        if methods is None or _WITH_PARAMETER.search(webhook.url):
            return
        listed = {method.strip() for method in methods.upper().split(",")}
        if not listed & {"POST", "*"}:
            reason = "wrong_method" if listed - {"OPTIONS", ""} else "not_registered"
            raise make_unhealthy(diagnosis.make_error(reason, "refused"))

    return ProviderCheck(check)
