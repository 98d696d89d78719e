"""Calls of one service of AWS: signed, over kept connections, and tried again as botocore does.

botocore's own clients take ten times as long for a call (`benchmarks/aws_calls.py`). They stay for
what a turn seldom needs (`parley.aws.clients`).
"""

from __future__ import annotations

import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from parley.aws.connection import ConnectionPool
from parley.aws.credentials import credential_source, find_endpoint, find_region
from parley.aws.failures import CallFailed, ConnectionLost, NoCredentials, ServiceError
from parley.aws.http1 import Answer
from parley.aws.log_redaction import keep_quiet
from parley.aws.signature import Scope, sign
from parley.version import VERSION

TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"}
)
THROTTLING_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
CONFLICT_CODES = frozenset({"ReplicatedWriteConflictException"})
"""Two regions of a global table wrote at once, says the model of DynamoDB: try again."""
MAX_PAUSE_S = 20.0
THROTTLED_PAUSE_S = 1.0
RETRY_AFTER_S = 5.0
"""How much longer than the pause that was drawn the service may ask to wait."""
QUOTA = 500
RETRY_COST, THROTTLED_COST, SUCCESS_GAIN = 14, 5, 1
"""Retries of a client use up a quota, which its successes fill: while a service is down, few calls
are repeated. All as in botocore's standard mode."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """How calls are made.

    Attributes:
        connect_timeout_s: how long a connection may take to open.
        read_timeout_s: how long the service may be silent.
        attempts: how often a call is tried, with its first time.
        pause_s: the longest pause before the first retry, unless the service throttles.
    """

    connect_timeout_s: float = 2.0
    read_timeout_s: float = 5.0
    attempts: int = 4
    pause_s: float = 0.05


CALLS = CallRules()
POSTS = CallRules(attempts=1)
"""Posts are in order, so the caller decides whether and when to retry."""
PROBES = CallRules(connect_timeout_s=1.0, read_timeout_s=2.0, attempts=1)
"""A health check needs an answer soon, not after several retries."""
HANDSHAKES = CallRules(connect_timeout_s=1.0, read_timeout_s=2.0, attempts=2)
"""A client waits in its handshake for the secret, which is usually kept already."""


class Service:
    """Calls one endpoint of a service.

    Args:
        name: of the service in signatures, e.g. `execute-api`.
        endpoint: base URL.
        region: empty for the environment's.
    """

    def __init__(
        self,
        name: str,
        endpoint: str,
        rules: CallRules = CALLS,
        *,
        region: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        keep_quiet()  # every function makes one of these before it decorates its handler
        parts = urlsplit(endpoint)
        self._scope = Scope(region or find_region(), name)
        self._host = parts.netloc.rpartition("@")[2]
        self._base_path = parts.path.rstrip("/")
        self._rules = rules
        self._pool = ConnectionPool(endpoint, rules.connect_timeout_s, rules.read_timeout_s)
        self._credentials = credential_source()
        self._quota = _RetryQuota()
        self._sleep = sleep

    def call(
        self,
        operation: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> bytes:
        """Call an operation, and return the body of its answer.

        Args:
            operation: its name, for errors.
            path: encoded, from the endpoint's on.
            headers: by name in lower case.

        Raises:
            ServiceError: the service refused it, also when it was tried again.
            CallFailed: there was no answer, also when it was tried again.
        """
        taken = 0
        for attempt in range(1, self._rules.attempts + 1):
            answer: Answer | None = None
            try:
                answer = self._pool.exchange(self._request(method, path, body, headers or {}))
                _check(answer)
            except NoCredentials:
                raise
            except CallFailed:
                throttled = False
                if attempt == self._rules.attempts:
                    raise
                cost = self._quota.take(RETRY_COST)
                if not cost:
                    raise
            else:
                if answer.status < 300:
                    self._quota.give(taken or SUCCESS_GAIN)
                    return answer.body
                error = _error(answer, operation, attempt)
                throttled = error.code in THROTTLING_CODES or answer.status == 429
                if attempt == self._rules.attempts or not _may_pass(error, throttled=throttled):
                    raise error
                cost = self._quota.take(THROTTLED_COST if throttled else RETRY_COST)
                if not cost:
                    raise error
            taken = cost
            self._sleep(self._pause_s(attempt, answer, throttled=throttled))
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, bytes]:
        whole = self._base_path + path
        signed = {"host": self._host, **headers}
        added = sign(self._credentials(), self._scope, method, whole, signed, body, time.time())
        unsigned = {
            "content-length": str(len(body)),
            "accept-encoding": "identity",
            "user-agent": f"parley/{VERSION}",
            **_trace(),
        }
        lines = "".join(
            f"{name}: {value}\r\n"
            for group in (signed, added, unsigned)
            for name, value in group.items()
        )
        return f"{method} {whole} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"), body

    def _pause_s(self, attempt: int, answer: Answer | None, *, throttled: bool) -> float:
        """Return the pause before the next attempt: longer each time, and drawn by lot."""
        longest = (THROTTLED_PAUSE_S if throttled else self._rules.pause_s) * 2.0 ** (attempt - 1)
        drawn = random.random() * min(longest, MAX_PAUSE_S)  # noqa: S311  # nosec B311
        wished = "" if answer is None else answer.headers.get("x-amz-retry-after", "")
        if not (wished.isascii() and wished.isdigit()):
            return drawn
        return max(drawn, min(int(wished) / 1000, drawn + RETRY_AFTER_S))


class JsonService:
    """Calls a service that speaks AWS's JSON protocol.

    Args:
        name: of the service, as its endpoint and signatures have it.
        target: what an operation's name is qualified with.
        version: of the protocol, e.g. `1.0`.
    """

    def __init__(
        self, name: str, target: str, version: str, rules: CallRules, *, endpoint: str = ""
    ) -> None:
        endpoint = endpoint or find_endpoint(name, find_region())
        self._service = Service(name, endpoint, rules)
        self._target = target
        self._content_type = f"application/x-amz-json-{version}"

    def call(self, operation: str, request: Mapping[str, Any]) -> bytes:
        """Call an operation, and return the JSON of its answer. Bytes are sent as base64.

        Raises:
            ServiceError: the service refused it.
            CallFailed: there was no answer.
        """
        headers = {
            "content-type": self._content_type,
            "x-amz-target": f"{self._target}.{operation}",
        }
        return self._service.call(operation, "/", msgspec.json.encode(request), headers)


class _RetryQuota:
    """What is left of a client's retries."""

    def __init__(self) -> None:
        self._left = QUOTA
        self._lock = threading.Lock()

    def take(self, cost: int) -> int:
        """Take so much. Return what was taken: nothing if there is too little."""
        with self._lock:
            if cost > self._left:
                return 0
            self._left -= cost
            return cost

    def give(self, gain: int) -> None:
        if self._left == QUOTA:  # nearly always, and then nothing needs the lock
            return
        with self._lock:
            self._left = min(QUOTA, self._left + gain)


def encode_path(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="~")


def _trace() -> dict[str, str]:
    """Return the header that carries X-Ray's trace on, and by which Lambda finds circles."""
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return {}
    return {"x-amzn-trace-id": quote(trace, safe="-=;:+&[]{}\"',")}


def _check(answer: Answer) -> None:
    """Raise if the body is not the one that was sent, as far as the service says."""
    checksum = answer.headers.get("x-amz-crc32", "")
    if checksum.isascii() and checksum.isdigit() and int(checksum) != zlib.crc32(answer.body):
        raise ConnectionLost("checksum")


def _may_pass(error: ServiceError, *, throttled: bool) -> bool:
    return (
        throttled
        or error.status in TRANSIENT_STATUSES
        or error.code in TRANSIENT_CODES
        or error.code in CONFLICT_CODES
    )


def _error(answer: Answer, operation: str, attempt: int) -> ServiceError:
    """Return what an answer refuses, in the fields of botocore's `ClientError`."""
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        said = {}
    body: dict[str, Any] = said if isinstance(said, dict) else {}
    named = body.get("__type") or answer.headers.get("x-amzn-errortype") or body.get("code")
    # `com.amazonaws.dynamodb.v20120810#Name`, or `Name:http://…`
    code = str(named or answer.status).rpartition("#")[2].partition(":")[0]
    response = {
        **body,
        "Error": {"Code": code, "Message": str(body.get("message") or body.get("Message") or "")},
        "ResponseMetadata": {
            "HTTPStatusCode": answer.status,
            "RequestId": answer.headers.get("x-amzn-requestid", ""),
            "RetryAttempts": attempt - 1,
        },
    }
    return ServiceError(response, operation)
