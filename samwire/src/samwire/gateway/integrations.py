"""Calls what is behind a route, and says what came of it.

A proxy integration is given the event; any other what request parameters and mapping
templates make of it. What goes wrong is one of the exceptions here, so that a handshake
and a message can answer it each in its way.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samwire.gateway.mapping import (
    MappingFault,
    Source,
    chosen_template,
    request_headers,
    request_payload,
    transformed,
)
from samwire.gateway.selection import DEFAULT
from samwire.runtime.call import MAX_EVENT_BYTES, Result
from samwire.runtime.service import LambdaService, UnknownFunction
from samwire.template.api_model import AWS_PROXY, MOCK, Integration, IntegrationResponse

_EVENT = "Event"


class IntegrationFault(Exception):
    """The integration cannot be called, or its answer cannot be used; says why."""


class EventTooLarge(IntegrationFault):
    """Lambda does not take an event of that size."""


class IntegrationTimeout(Exception):
    """The integration took longer than it may."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an integration answered.

    Attributes:
        status: of a proxy 200, whatever the function returned; of `MOCK` what its template
            says; 202 of an asynchronous invocation.
        body: as text.
        error: the function's error; empty if it has none.
        advice: to the developer, on how to mend it.
    """

    status: int
    body: str = ""
    error: str = ""
    advice: str = ""


def source_of(event: Mapping[str, Any]) -> Source:
    """Return what expressions and templates see of an event."""
    return Source(
        body=str(event.get("body", "")),
        context=event["requestContext"],
        stage_variables=event.get("stageVariables", {}),
        headers=event.get("multiValueHeaders", {}),
        query=event.get("multiValueQueryStringParameters", {}),
    )


class Integrations:
    """Calls integrations of Lambda functions."""

    def __init__(self, service: LambdaService, *, json_template: bool = True) -> None:
        self._service = service
        self._json_template = json_template

    async def call(self, integration: Integration, event: Mapping[str, Any]) -> Answer:
        """Call it.

        Raises:
            EventTooLarge: of a proxy integration, the event has more than Lambda takes.
            IntegrationFault: it cannot be called.
            IntegrationTimeout: it took too long; the function goes on.
            Throttled: there is no concurrency left for the function.
        """
        if integration.kind == AWS_PROXY:
            payload = json.dumps(event, separators=(",", ":"))
            _check_size(payload, event)
            return await self._invoke(integration, payload)
        if not integration.kind:
            raise IntegrationFault("the integration is not served here")
        source = source_of(event)
        try:
            payload = request_payload(integration, source, json_template=self._json_template)
        except MappingFault as fault:
            raise IntegrationFault(str(fault)) from None
        if integration.kind == MOCK:
            return _mocked(payload)
        _check_json(payload)
        if request_headers(integration, source).get("x-amz-invocation-type") == _EVENT:
            self._invoke_later(integration, payload)
            return Answer(202)
        return await self._invoke(integration, payload)

    def reply(self, integration: Integration, answer: Answer, event: Mapping[str, Any]) -> str:
        """Return what the client of a two-way route is sent.

        Raises:
            IntegrationFault: no integration response fits, or a proxy's body is no text.
        """
        if integration.kind == AWS_PROXY:
            body = _object(answer.body).get("body") or ""
            if not isinstance(body, str):
                raise IntegrationFault("the body of the answer is no string")
            return body
        chosen = _response(integration, answer)
        if chosen is None:
            raise IntegrationFault("no integration response fits; add one with the key $default")
        source = source_of({**event, "body": answer.body})
        values = {"integration.response.statuscode": str(answer.status)}
        template = chosen_template(
            chosen.templates, chosen.template_selection, source.message, values
        )
        if template is None:
            return answer.body
        try:
            return transformed(template, source)
        except MappingFault as fault:
            raise IntegrationFault(str(fault)) from None

    async def _invoke(self, integration: Integration, payload: str) -> Answer:
        result = await self.invoke(integration.function, payload, integration.timeout_s)
        body = result.payload.decode(errors="replace")
        if not result.error:
            return Answer(200, body)
        message = str(_object(body).get("errorMessage") or "error")
        return Answer(200, body, message, result.advice)

    async def invoke(self, function: str, payload: str, timeout_s: float) -> Result:
        """Invoke a function; it goes on when its time is up.

        Raises:
            IntegrationFault: there is no such function.
            IntegrationTimeout: it took too long.
            Throttled: there is no concurrency left for the function.
        """
        invoke_task = asyncio.ensure_future(self._service.invoke(function, payload.encode()))
        try:
            return await asyncio.wait_for(asyncio.shield(invoke_task), timeout_s)
        except UnknownFunction as unknown:
            raise IntegrationFault(str(unknown)) from None
        except TimeoutError:
            raise IntegrationTimeout from None

    def _invoke_later(self, integration: Integration, payload: str) -> None:
        try:
            self._service.invoke_later(integration.function, payload.encode())
        except UnknownFunction as unknown:
            raise IntegrationFault(str(unknown)) from None


def _mocked(payload: str) -> Answer:
    """Return the answer of `MOCK`: the status that its request template says.

    `{statusCode: 200}` is what people write, and API Gateway takes, though it is no JSON.
    """
    found = re.search(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})\b""", payload)
    if found is None:
        raise IntegrationFault("the request template of MOCK gives no statusCode")
    return Answer(int(found[1]))


def _check_size(payload: str, event: Mapping[str, Any]) -> None:
    if len(payload) <= MAX_EVENT_BYTES:
        return
    # What is not ASCII is escaped in the payload, and counts as what it is in UTF-8.
    plain = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    if (size := len(plain.encode(errors="surrogatepass"))) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"the event has {size:,} bytes; Lambda takes {MAX_EVENT_BYTES:,}")


def _check_json(payload: str) -> None:
    """Refuse what is no JSON, as Lambda does, so that the integration fails."""
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise IntegrationFault(f"what the function is to be given is no JSON: {error}") from None


def _response(integration: Integration, answer: Answer) -> IntegrationResponse | None:
    """Return the integration response for an answer: patterns are for errors, and for statuses."""
    wanted = answer.error or str(answer.status)
    fallback = None
    for response in integration.responses:
        if response.key == DEFAULT:
            fallback = response
        elif re.fullmatch(response.key.strip("/"), wanted, re.DOTALL):
            return response
    return fallback


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
