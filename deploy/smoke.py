"""Asks what has been deployed whether it works: `GET /health?deep=1`, as anybody may."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account
from deploy.stack import Existing

PATH = "/health?deep=1"
GIVE_UP_S = 60.0
"""How long an address that is new may not answer: its name and its stage come a little later."""
POLL_S = 2.0
ANSWER_S = 29.0
"""How long API Gateway lets one answer take."""
SUBJECT = "make-deploy"
"""The user that the token is for."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it.

    Attributes:
        lines: to be shown, one for each check.
        failing: names of the checks that failed.
    """

    lines: list[str]
    failing: list[str] = field(default_factory=list)


def ask(stack: Existing, account: Account) -> Found:
    """Ask a deployment; say why not, where nobody here may."""
    url = stack.outputs.get("HttpUrl", "")
    if not url or stack.stored.get("DisableDefaultEndpoint") == "true":
        return Found([f"Not asked: it answers at your own domain alone. GET {PATH} there."])
    headers: dict[str, str] = {}
    mode = stack.stored.get("AuthMode", "off")
    if mode == "oidc":
        return Found([_by_hand(url, "only your issuer makes tokens")])
    if mode == "secret":
        try:
            headers["Authorization"] = f"Bearer {_token(stack, account)}"
        except (ClientError, BotoCoreError, LookupError, ValueError):
            return Found([_by_hand(url, "no token could be had of TokenFunctionName")])
    return _read(url, headers)


def _by_hand(url: str, why: str) -> str:
    return f'Not asked: {why}. With one: curl -H "Authorization: Bearer $TOKEN" "{url}{PATH}"'


def _token(stack: Existing, account: Account) -> str:
    """Have the token function make one."""
    payload = {"subject": SUBJECT, "ttl_s": 120}
    if stack.stored.get("AuthTenantClaim"):
        payload["tenant"] = SUBJECT
    answer = account.session.client("lambda").invoke(
        FunctionName=stack.outputs["TokenFunctionName"], Payload=json.dumps(payload).encode()
    )
    return str(json.load(answer["Payload"])["token"])


def _read(url: str, headers: Mapping[str, str]) -> Found:
    """Ask until there is an answer of the function's own."""
    deadline = time.monotonic() + GIVE_UP_S
    while True:
        content, problem = _asked(url + PATH, headers)
        if content is not None:
            return _shown(content)
        if time.monotonic() + POLL_S > deadline:
            return Found([f"It does not answer at {url}: {problem}."], ["HttpUrl"])
        time.sleep(POLL_S)


def _asked(url: str, headers: Mapping[str, str]) -> tuple[dict[str, Any] | None, str]:
    """Return what it says, or what is in the way."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - an output's URL
    status, body = 0, b""
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310  # nosec B310  # as above
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    except (OSError, HTTPException) as error:
        return None, str(getattr(error, "reason", error))
    if status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if isinstance(content, dict) and isinstance(content.get("checks"), dict):
            return content, ""
    return None, f"HTTP {status}"


def _shown(content: Mapping[str, Any]) -> Found:
    checks: dict[str, dict[str, Any]] = content["checks"]
    width = max(map(len, checks), default=0)
    lines = [
        f"{name:{width}}  " + _found(bool(check.get("ok")), str(check.get("detail") or ""))
        for name, check in checks.items()
    ]
    return Found(lines, [name for name, check in checks.items() if not check.get("ok")])


def _found(ok: bool, detail: str) -> str:
    if not ok:
        return detail or "fails"
    return f"works. {detail}" if detail else "works"
