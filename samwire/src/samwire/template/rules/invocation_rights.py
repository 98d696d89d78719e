"""Whether API Gateway may invoke the functions that a template's APIs name.

Without an `AWS::Lambda::Permission` the template deploys, and then `$connect` answers 500 and
every message `Internal server error`: the stack says nothing, and nothing is logged. A function
that is not in the template is its own account's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from samwire.permissions.conditions import arn_matches
from samwire.template.api_model import Authorizer, HttpApi, Integration, WebSocketApi
from samwire.template.intrinsics import ACCOUNT_ID, PARTITION
from samwire.template.problems import Problem
from samwire.template.resolved import Resolved

_GATEWAY = "apigateway.amazonaws.com"
_ACTIONS = ("lambda:invokefunction", "lambda:*", "*")
_SOURCE = 'AWS, "Invoking a Lambda function using an Amazon API Gateway endpoint"'
_ARN_PARTS = 5
"""Before `:function:`: arn, partition, service, region, account."""
_METHODS = ("GET", "POST", "DELETE")
"""Some of those that ANY stands for."""


@dataclass(frozen=True, slots=True)
class _Right:
    """A permission of API Gateway.

    Attributes:
        function: name, and after a colon the qualifier if it has one.
        source: pattern of ARNs; empty for all.
    """

    function: str
    source: str
    account: str


@dataclass(frozen=True, slots=True)
class _Need:
    """An invocation that a template asks for.

    Attributes:
        logical_id: of what asks for it.
        what: what asks, in words.
        sources: ARNs that API Gateway may name itself by; one of them must be allowed …
        each: … or all of these.
    """

    logical_id: str
    what: str
    function: str
    sources: tuple[str, ...]
    each: tuple[str, ...] = ()


class InvocationRights:
    """Judges the permissions of one template."""

    def __init__(self, template: Resolved, region: str) -> None:
        self._region = region
        self._notice = template.notice
        self._of = template.of
        self._prefix = f"arn:{PARTITION}:execute-api:{region}:{ACCOUNT_ID}"
        self._functions = {
            template.name(logical_id): logical_id
            for logical_id in template.of("AWS::Lambda::Function")
        }
        self._rights = [
            _Right(
                _bare(str(properties.get("FunctionName"))),
                str(properties.get("SourceArn") or ""),
                str(properties.get("SourceAccount") or ""),
            )
            for properties in template.of("AWS::Lambda::Permission").values()
            if str(properties.get("Principal")) in (_GATEWAY, "*")
            and str(properties.get("Action")).lower() in _ACTIONS
            and self._is_here(str(properties.get("FunctionName")))
        ]

    def problems(
        self, apis: Iterable[WebSocketApi], http_apis: Iterable[HttpApi]
    ) -> Iterator[Problem]:
        """Yield a problem for each integration and authorizer whose function may not be invoked.

        A permission for an alias or a version that is not there is one too.
        """
        yield from self._of_qualifiers()
        lacking: dict[tuple[str, str], list[_Need]] = {}
        for need in (*self._of_websockets(apis), *self._of_http(http_apis)):
            function = _bare(need.function)
            here = self._is_here(need.function)
            known = here and function.partition(":")[0] in self._functions
            if not known:
                where = "the template" if here else "this account and region"
                self._notice(
                    f"{need.logical_id}: there is no function {need.function} in {where}; it "
                    "cannot be invoked here."
                )
            if known and not self._is_granted(function, need):
                lacking.setdefault((need.logical_id, function), []).append(need)
        for (logical_id, function), needs in lacking.items():
            what = ", ".join(dict.fromkeys(need.what for need in needs))
            yield Problem(
                logical_id,
                f"API Gateway may not invoke {self._functions[function.partition(':')[0]]} for "
                f"{what}: the template has no AWS::Lambda::Permission with the Principal "
                f"{_GATEWAY}, the FunctionName {function} and a SourceArn that matches "
                f"{needs[0].sources[0]}. It would deploy, and answer 500 or Internal server error.",
                _SOURCE,
            )

    def _of_qualifiers(self) -> Iterator[Problem]:
        known = {("$LATEST", name) for name in self._functions}
        for kind, key in (("Alias", "Name"), ("Version", "")):
            for properties in self._of(f"AWS::Lambda::{kind}").values():
                name = _bare(str(properties.get("FunctionName"))).partition(":")[0]
                known.add((str(properties.get(key, "1")), name))
        for logical_id, properties in self._of("AWS::Lambda::Permission").items():
            given = str(properties.get("FunctionName"))
            name, _, qualifier = _bare(given).partition(":")
            if not qualifier or name not in self._functions or not self._is_here(given):
                continue
            if not qualifier.isdecimal() and (qualifier, name) not in known:
                yield Problem(
                    logical_id,
                    f"the function {self._functions[name]} has no alias {qualifier} in the "
                    "template, so the permission cannot be created.",
                    'AWS, "AddPermission"',
                    ("FunctionName",),
                )

    def _is_here(self, function: str) -> bool:
        """Return whether a function that is given by name or ARN is of this account and region."""
        before = function.rpartition(":function:")[0].split(":")
        account = before[-1] if ":function:" in function else ACCOUNT_ID
        region = before[3] if len(before) == _ARN_PARTS else self._region
        return (account or ACCOUNT_ID, region) == (ACCOUNT_ID, self._region)

    def _is_granted(self, function: str, need: _Need) -> bool:
        patterns = [
            right.source
            for right in self._rights
            if right.function == function and right.account in ("", ACCOUNT_ID)
        ]
        allowed = [not pattern for pattern in patterns]

        def is_allowed(source: str) -> bool:
            return any(allowed) or any(arn_matches(source, pattern) for pattern in patterns)

        return any(map(is_allowed, need.sources)) or bool(
            need.each and all(map(is_allowed, need.each))
        )

    def _of_websockets(self, apis: Iterable[WebSocketApi]) -> Iterator[_Need]:
        for api in apis:
            for key, route in api.routes.items():
                source = f"{self._prefix}:{api.api_id}/{api.stage}/{key}"
                yield from _of_integration(route.integration, key, (source,))
                yield from self._of_authorizer(api.api_id, route.authorizer)

    def _of_http(self, apis: Iterable[HttpApi]) -> Iterator[_Need]:
        for api in apis:
            for route in api.routes:
                method, _, path = route.key.partition(" ")
                stage = f"{self._prefix}:{api.api_id}/{api.stage}"
                sources = (f"{stage}/{method}{path}",)
                each = tuple(f"{stage}/{m}{path}" for m in _METHODS) if method == "ANY" else ()
                yield from _of_integration(route.integration, route.key, sources, each)
                yield from self._of_authorizer(api.api_id, route.authorizer)

    def _of_authorizer(self, api_id: str, authorizer: Authorizer | None) -> Iterator[_Need]:
        if authorizer is not None and authorizer.function and not authorizer.credentials:
            source = f"{self._prefix}:{api_id}/authorizers/{authorizer.authorizer_id}"
            yield _Need(
                authorizer.logical_id,
                "the authorization of requests",
                authorizer.function,
                (source,),
            )


def _of_integration(
    integration: Integration, key: str, sources: tuple[str, ...], each: tuple[str, ...] = ()
) -> Iterator[_Need]:
    if integration.function and not integration.credentials:
        yield _Need(integration.logical_id, f"the route {key}", integration.function, sources, each)


def _bare(function: str) -> str:
    """Name and qualifier of a function that is given by name or ARN, whole or in part."""
    return function.rpartition(":function:")[2] if ":function:" in function else function
