"""DynamoDB that is too busy, on request: `PUT /_local/faults` to moto's server.

    {"throttling": [{"operation": "PutItem", "error": "ThrottlingException", "times": 2}]}

Each rule names an operation (`*` for all, the default), an error (the default is
`ProvisionedThroughputExceededException`), how often (`times`; without it always), and a
`probability` with a `seed`, so that a run can be repeated. An empty list ends it. The answer says
how often it `happened` since the rules before were set.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CONTROL_PATH = "/_local/faults"
_TARGET = "DynamoDB_20120810."
_ERRORS = {
    "ProvisionedThroughputExceededException": (
        "com.amazonaws.dynamodb.v20120810",
        "The level of configured provisioned throughput for the table was exceeded. Consider "
        "increasing your provisioning level with the UpdateTable API.",
    ),
    "RequestLimitExceeded": (
        "com.amazonaws.dynamodb.v20120810",
        "Throughput exceeds the current throughput limit for your account.",
    ),
    "ThrottlingException": (
        "com.amazon.coral.availability",
        "Rate of requests exceeds the allowed throughput.",
    ),
}
_FIELDS = frozenset({"operation", "error", "times", "probability", "seed"})


class ThrottlingError(ValueError):
    """A rule that makes no sense; a sentence that names the field and what is allowed."""


@dataclass(slots=True)
class Rule:
    """When to be too busy.

    Attributes:
        times: how often still; None for always.
    """

    operation: str
    error: str
    times: int | None
    probability: float
    chance: random.Random

    @classmethod
    def parsed(cls, data: object) -> Rule:
        """Read a rule.

        Raises:
            ThrottlingError: it makes no sense.
        """
        if not isinstance(data, Mapping):
            raise ThrottlingError("throttling: every rule must be an object.")
        unknown = [str(name) for name in data if name not in _FIELDS]
        if unknown:
            raise ThrottlingError(f"throttling: {unknown[0]} is none of {sorted(_FIELDS)}.")
        error = data.get("error", "ProvisionedThroughputExceededException")
        if error not in _ERRORS:
            raise ThrottlingError(f"error: must be one of {', '.join(_ERRORS)}.")
        times = data.get("times")
        if times is not None and (type(times) is not int or times < 1):
            raise ThrottlingError("times: must be a whole number from 1.")
        probability = data.get("probability", 1)
        if type(probability) not in (int, float) or not 0 < probability <= 1:
            raise ThrottlingError("probability: must be more than 0 and at most 1.")
        operation = str(data.get("operation", "*"))
        chance = random.Random(data.get("seed"))  # nosec B311  # to be repeated is the point
        return cls(operation, error, times, probability, chance)

    def hits(self, operation: str) -> bool:
        """Return whether it is this call's turn; counted if so."""
        if self.operation not in ("*", operation) or self.times == 0:
            return False
        if self.chance.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class ThrottlingInFront:
    """A WSGI application that is sometimes too busy for DynamoDB."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._happened = 0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == CONTROL_PATH and environ["REQUEST_METHOD"] == "PUT":
            return self._set(_body(environ), start_response)
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if not self._rules or not target.startswith(_TARGET):
            return self._app(environ, start_response)
        operation = target.removeprefix(_TARGET)
        with self._lock:
            rule = next((rule for rule in self._rules if rule.hits(operation)), None)
            self._happened += rule is not None
        if rule is None:
            return self._app(environ, start_response)
        _body(environ)  # must not stay on the connection
        namespace, message = _ERRORS[rule.error]
        body = {"__type": f"{namespace}#{rule.error}", "message": message}
        return _answer("400 Bad Request", body, start_response)

    def _set(self, body: bytes, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            data = json.loads(body)
            wanted = data.get("throttling") if isinstance(data, dict) else None
            if not isinstance(wanted, list):
                raise ThrottlingError("throttling: must be a list of rules.")
            self._rules = [Rule.parsed(each) for each in wanted]
        except ValueError as error:
            return _answer("400 Bad Request", {"message": str(error)}, start_response)
        happened, self._happened = self._happened, 0
        answer = {"throttling": len(self._rules), "happened": happened}
        return _answer("200 OK", answer, start_response)


def _body(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _answer(
    status: str, data: Mapping[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    body = json.dumps(data).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", str(uuid.uuid4())),
    ]
    start_response(status, headers)
    return [body]
