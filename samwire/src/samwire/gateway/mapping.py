"""What API Gateway makes of a request before an integration that is no proxy gets it.

Request parameters, the choice of a mapping template, and the variables that templates
have ("API Gateway WebSocket API mapping template reference").
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samwire.gateway.json_path import MISSING, at
from samwire.gateway.selection import DEFAULT, evaluated, text_of
from samwire.gateway.velocity import TemplateFault, parsed, rendered
from samwire.template.api_model import Integration

_ONLY_KEY = "application/json"
_HEADER = "integration.request.header."


class MappingFault(Exception):
    """Nothing can be made of a request or an answer; a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """What expressions and templates can see.

    Attributes:
        body: the message, or what the integration answered.
        context: the event's `requestContext`.
        headers, query: of `$connect`; all values of each name.
    """

    body: str
    context: Mapping[str, Any]
    stage_variables: Mapping[str, str]
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    query: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def message(self) -> Any:
        """The body, decoded; `MISSING` if it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return MISSING


def request_headers(integration: Integration, source: Source) -> dict[str, str]:
    """Return the headers that request parameters set, with names in lower case."""
    return {
        name.removeprefix(_HEADER).lower(): mapped(expression, source)
        for name, expression in integration.request_parameters.items()
        if name.startswith(_HEADER)
    }


def mapped(expression: str, source: Source) -> str:
    """Return what a mapping expression such as `route.request.body.a.b` or `'text'` stands for."""
    if len(expression) > 1 and expression[0] == expression[-1] == "'":
        return expression[1:-1]
    where, _, name = expression.partition(".")
    if where == "stageVariables":
        return source.stage_variables.get(name, "")
    if where == "context":
        return text_of(at(source.context, name))
    kind, _, name = expression.removeprefix("route.request.").partition(".")
    if kind == "body":
        return text_of(at(source.message, name))
    values = _values(source, kind.removeprefix("multivalue"), name)
    return ",".join(values) if kind.startswith("multivalue") else "".join(values[-1:])


def request_payload(integration: Integration, source: Source, *, json_template: bool = True) -> str:
    """Return what the integration is given.

    Args:
        json_template: whether a single template under `application/json` is taken without an
            expression that selects it: AWS's own samples have it so.

    Raises:
        MappingFault: there is no template for the message and it must not pass as it is, or
            the template is wrong.
    """
    template = chosen_template(
        integration.request_templates, integration.template_selection, source.message
    )
    if template is None and json_template and set(integration.request_templates) == {_ONLY_KEY}:
        template = integration.request_templates[_ONLY_KEY]
    if template is not None:
        return transformed(template, source)
    if integration.passthrough == "NEVER":
        raise MappingFault("no request template matches, and PassthroughBehavior is NEVER")
    if integration.passthrough == "WHEN_NO_TEMPLATES" and integration.request_templates:
        raise MappingFault(
            "no request template matches, and PassthroughBehavior is WHEN_NO_TEMPLATES"
        )
    return _converted(source.body, integration.content_handling)


def chosen_template(
    templates: Mapping[str, str],
    expression: str,
    message: Any,
    values: Mapping[str, str] | None = None,
) -> str | None:
    """Return the template for a message: of the key that the expression gives, else of
    `$default`."""
    key = evaluated(expression, message, values) if expression else DEFAULT
    return templates.get(key, templates.get(DEFAULT))


def transformed(template: str, source: Source) -> str:
    """Return the text that a mapping template makes.

    Raises:
        MappingFault: the template is wrong.
    """
    variables = {
        "input": _Input(source),
        "context": _context(source.context),
        "stageVariables": dict(source.stage_variables),
        "util": _UTIL,
    }
    try:
        return rendered(parsed(template), variables)
    except TemplateFault as fault:
        raise MappingFault(f"mapping template, {fault}") from None


def unreadable_templates(integration: Integration) -> list[str]:
    """Return what is wrong with the mapping templates of an integration, as far as one can read."""
    found = []
    groups = [integration.request_templates, *(r.templates for r in integration.responses)]
    for templates in groups:
        for key, template in templates.items():
            try:
                parsed(template)
            except TemplateFault as fault:
                found.append(f"the mapping template {key}, {fault}")
    return found


class _Input:
    """`$input`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.values = {"body": source.body}
        self.methods = {"json": self._json, "path": self._path, "params": self._params}

    def _json(self, path: str) -> str:
        found = at(self._source.message, path)
        return '""' if found is MISSING else json.dumps(found, ensure_ascii=False)

    def _path(self, path: str) -> Any:
        found = at(self._source.message, path)
        return None if found is MISSING else found

    def _params(self, name: str | None = None) -> Any:
        source = self._source
        if name is None:
            kinds = {"header": source.headers, "querystring": source.query}
            found: dict[str, Any] = {
                kind: {key: values[-1] for key, values in params.items()}
                for kind, params in kinds.items()
            }
            return {"path": {}, **found}
        for kind in ("querystring", "header"):
            values = _values(source, kind, name)
            if values:
                return values[-1]
        return ""


class _Util:
    """`$util`."""

    values: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.methods = {
            "escapeJavaScript": _escaped,
            "parseJson": json.loads,
            "urlEncode": urllib.parse.quote_plus,
            "urlDecode": urllib.parse.unquote_plus,
            "base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
            "base64Decode": lambda text: base64.b64decode(text).decode(errors="replace"),
        }


_ESCAPES = {
    '"': '\\"',
    "'": "\\'",
    "\\": "\\\\",
    "/": "\\/",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


def _escaped(text: str) -> str:
    """Escape as Java's `escapeJavaScript` does: `'` too, which is no escape in JSON."""
    return "".join(_ESCAPES.get(c) or (c if " " <= c <= "~" else _code_units(c)) for c in text)


def _code_units(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _context(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return `$context`: the event's, with what an authorizer said as text."""
    authorizer = context.get("authorizer")
    if authorizer is None:
        return dict(context)
    return {**context, "authorizer": {name: text_of(v) for name, v in authorizer.items()}}


def _values(source: Source, kind: str, name: str) -> list[str]:
    """Return all values of a header, whatever its case, or of a query parameter."""
    if kind == "querystring":
        return source.query.get(name, [])
    if kind == "header":
        return [v for key, vs in source.headers.items() if key.lower() == name.lower() for v in vs]
    return []


def _converted(body: str, content_handling: str) -> str:
    """Return the body as `ContentHandlingStrategy` wants it: base64 becomes what it stands for.

    A Lambda function is given text in either case; bytes that are none are lost.
    """
    if content_handling != "CONVERT_TO_BINARY":
        return body
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except ValueError:
        raise MappingFault("CONVERT_TO_BINARY needs a message that is base64") from None


_UTIL = _Util()
