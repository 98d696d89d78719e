"""Why a provider failed, and what the operator of the deployment can do about it.

From a status, an error's body or frame, or an exception to a `ProviderError` whose cause says so.
Nothing that a provider wrote as text is taken over, because providers repeat keys and what the
user said: only names such as `invalid_api_key`, and the request's id.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from parley.errors import Cause, FailureKind, ProviderError
from parley.providers.errors import (
    PROVIDER_OF_CODE,
    ProviderErrorCode,
    make_failure,
    parse_retry_after_ms,
)

MAX_BODY_BYTES = 64 * 1024
"""More of an error's body is not read."""

_REASONS: dict[str, str] = {
    "auth_error": "key",
    "authentication_error": "key",
    "authentication_required": "key",
    "invalid_api_key": "key",
    "incorrect_api_key": "key",
    "invalid_auth": "key",
    "missing_api_key": "key",
    "api_key_invalid": "key",
    "expiredtokenexception": "key",
    "unrecognizedclientexception": "key",
    "unauthenticated": "key",
    "insufficient_permissions": "permission",
    "missing_permissions": "permission",
    "permission_denied": "permission",
    "permission_error": "permission",
    "unsupported_country_region_territory": "permission",
    "subscription_required": "permission",
    "accessdeniedexception": "permission",
    "only_for_creator+": "permission",
    "unaccepted_terms": "terms",
    "account_deactivated": "quota",
    "asr_payment_required": "quota",
    "billing_not_active": "quota",
    "billing_error": "quota",
    "contract_spend_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "linked_organization_spend_limit_reached": "quota",
    "billing_hard_limit_reached": "quota",
    "detected_unusual_activity": "quota",
    "insufficient_credits": "quota",
    "insufficient_quota": "quota",
    "payment_required": "quota",
    "quota_exceeded": "quota",
    "concurrency_limited": "busy",
    "concurrent_limit_exceeded": "busy",
    "max_active_conversations": "busy",
    "queue_overflow": "busy",
    "rate_limit_error": "busy",
    "rate_limit_exceeded": "busy",
    "rate_limited": "busy",
    "resource_exhausted": "busy",
    "too_many_concurrent_requests": "busy",
    "too_many_requests": "busy",
    "ramp_limit_exceeded": "busy",
    "servicequotaexceededexception": "busy",
    "throttlingexception": "busy",
    "model_not_found": "model",
    "unsupported_model": "model",
    "deploymentnotfound": "model",
    "resourcenotfoundexception": "model",
    "voice_not_found": "voice",
    "content_filter": "filter",
    "content_policy_violation": "filter",
    "context_length_exceeded": "context",
    "request_too_large": "context",
    "input_error": "request",
    "invalid_request": "request",
    "max_character_limit_exceeded": "request",
    "unparsable_client_message": "request",
    "validation_error": "request",
    "validationexception": "request",
    "engine_overloaded": "down",
    "internal_error": "down",
    "internal_server_error": "down",
    "api_error": "down",
    "internalserverexception": "down",
    "modelerrorexception": "down",
    "modelnotreadyexception": "down",
    "modelstreamerrorexception": "down",
    "modeltimeoutexception": "down",
    "serviceunavailableexception": "down",
    "timeout_error": "down",
    "overloaded_error": "down",
    "server_error": "down",
    "service_unavailable": "down",
    "system_busy": "down",
}
"""What providers call it, in lower case, and what it means. Where a name says more than the status
does, it counts: ElevenLabs answers 401 when a quota is used up, OpenAI 429."""

_KINDS: dict[str, FailureKind] = {
    "key": "unauthorized",
    "permission": "unauthorized",
    "busy": "rate_limited",
    "down": "unavailable",
    "filter": "filtered",
}
"""Any other reason is a refusal that trying again does not mend."""

_ADVICE: dict[str, str] = {
    "key": "{called} refused the API key{status}: check {key}.",
    "permission": "{called} does not allow this to the API key{status}: check what {key} may do, "
    "whether the account may use {model}, and from which countries.",
    "terms": "The account at {host} has not accepted the terms{status}: do it on its web site.",
    "quota": "The account's quota at {host} is used up or not paid{status}: raise it there, or use "
    "another {key}.",
    "busy": "{called} limits how much the account may ask{status}: raise its limit at {host}.",
    "model": "No model {model_name} at {host}{status}: check {model}.",
    "voice": "No such voice at {host}{status}: check {voice}, and which voice the session chose.",
    "not_found": "At {url} there is nothing, or no model {model_name}{status}: check {base_url} "
    "and {model}.",
    "redirect": "{host} sends elsewhere{status}: set {base_url} to where the API is.",
    "request": "{called} refused the request{status}: check {base_url} and {model}.",
    "context": "The conversation is too long for {model_name}{status}: choose fewer "
    "HistoryMessages, or another {model}.",
    "filter": "{called}'s filter held the answer back{status}.",
    "down": "{called} is down or overloaded{status}.",
    "host_not_found": "Host {host} not found: check {base_url}.",
    "connection_refused": "Nobody listens at {host}: check {base_url}, and whether it runs.",
    "unreachable": "{host} cannot be reached: check {base_url}, and the way there.",
    "tls_failed": "TLS with {host} failed: check {base_url}, its certificate, and whether it "
    "speaks https at all.",
    "connect_timeout": "{host} took no connection in time: check {base_url}, and whether a "
    "firewall is on the way.",
    "timeout": "{called} did not answer in time: it is slow or overloaded. A quicker {model}, or "
    "more ProviderTimeoutSeconds, may help.",
    "connection_lost": "{host} broke off the connection before the answer had ended.",
    "closed": "{called} closed the connection before it had ended.",
    "invalid_url": "There is no URL to ask: check {base_url}.",
    "no_protocol": "What {host} answers is not what {called_there} answers: check {base_url}.",
    "tool_call": "Model {model_name} called a function, and this deployment gives it none: switch "
    "tools off at {host}, or choose another {model}.",
    "leaked_call": "Model {model_name} wrote a function call as text, which is neither spoken nor "
    "run: set the parser of tool calls at {host} that suits it, or choose another {model}.",
    "bad_call": "Model {model_name} wrote a function call that {host} could not read: choose "
    "another {model}.",
    "length": "Model {model_name} reached its limit of tokens before its first word: have it "
    "think less, or raise the limit at {host}.",
    "empty": "Model {model_name} answered with nothing.",
    "no_role": "The function has no AWS credentials to make a key for {host} of: check its role.",
}

_ON_A_CONNECTION = ("ReadError", "WriteError", "CloseError")
"""What httpx raises once there is a connection, by name: most that ask have no need of httpx. The
socket's own exception behind it is often one that also means that there is none."""
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{1,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{5,127}")
_REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "x-trace-id",
    "dg-request-id",
    "cf-ray",
)
_SHARED_WITH_KEY = 6
"""How many letters and digits in a row a name and the key must share, for the name to be part of
it."""
_SHARED_WITH_WORDS = 12
"""The same for what was said. It is more than for the key, because names are words too."""
_SHORTEST_KEY = 4
_NAMING_FIELDS = (
    "code",
    "error_code",
    "err_code",
    "status",
    "status_code",
    "type",
    "message_type",
    "category",
    "request_id",
)
"""Of an error, the most telling first."""
_MAX_DEPTH = 8
"""Providers nest two or three errors; without a bound a body could use up the stack."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom a provider's calls go to, and the template's parameters that say so.

    Attributes:
        code: what its failures are called.
        called: within a sentence, e.g. `the chat endpoint`.
    """

    code: ProviderErrorCode
    called: str
    base_url: str
    model: str
    key_parameter: str
    url_parameter: str
    model_parameter: str
    voice_parameter: str = "VoiceId"

    @property
    def host(self) -> str:
        """The URL's host and port, without a user and a password that may be in it."""
        try:
            parts = urlsplit(self.base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return self.url_parameter
        if not host:
            return self.url_parameter
        return f"{host}:{port}" if port else host


@dataclass(frozen=True, slots=True)
class ToldError:
    """What a provider's error says, as far as it may be written down."""

    status: int | None = None
    names: Sequence[str] = ()
    """Code and type, the most telling first."""
    request_id: str | None = None


class Diagnosis:
    """Makes the errors of calls to one endpoint.

    Args:
        key: the API key.
        said: what the user and the model said; may grow. Neither must be in a log, also if the
            provider sends it back.
        advice: of reasons that only this provider has, by the reason; written as `_ADVICE` is.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: str = "",
        said: Sequence[str] = (),
        advice: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._advice = advice or {}
        self._key = _characters(key)
        self._said = said
        self._ids: list[str] = []

    def note_request_id(self, headers: Mapping[str, str]) -> None:
        """Keep the request's id.

        Args:
            headers: their names in lower case, or of a mapping to which case is nothing.
        """
        # They are judged when the call has failed: most do not, and what was said may be long.
        found = (headers.get(name) for name in _REQUEST_ID_HEADERS)
        self._ids = [_first(value) for value in found if value] + self._ids

    def diagnose_status(
        self, status: int, headers: Mapping[str, str], body: bytes | bytearray | None
    ) -> ProviderError:
        """Make the error of a call that was answered with this status."""
        self.note_request_id(headers)
        told = self._read(_parsed(body or b""))
        # AWS names an error in a header: `AccessDeniedException:http://…`.
        named = self._clean_name(headers.get("x-amzn-errortype", "").partition(":")[0])
        if named:
            told = replace(told, names=(named, *told.names))
        wait = headers.get("retry-after")
        return self._told(
            ToldError(status, told.names, told.request_id), _first(wait) if wait else None
        )

    def diagnose_error(self, error: Any) -> ProviderError:
        """Make the error that a provider names within its answer.

        Args:
            error: the error's name, or an object that has some.
        """
        return self._told(self._read(error), None)

    def diagnose_exception(self, error: BaseException) -> ProviderError:
        """Make the error of a call that failed on its way, from its exception."""
        reason = _reason_of(error)
        return self.make_error(reason, "unavailable")

    def diagnose_close(self, code: int, why: str) -> ProviderError:
        """Make the error of a WebSocket that the provider closed.

        Args:
            why: the close frame's reason; counts if it is a name that is known.
        """
        if why.lower() in _REASONS:
            told = self._told(ToldError(names=(why,)), None)
            told.cause = replace(told.cause, close_code=code)
            return told
        return self.make_error("closed", "unavailable", close_code=code)

    def make_error(
        self,
        reason: str,
        kind: FailureKind,
        *,
        status: int | None = None,
        close_code: int | None = None,
    ) -> ProviderError:
        """Make the error of a call that failed for a reason that is known here.

        Args:
            reason: a key of the advice.
            status: the answer's, where it says something.
        """
        return make_failure(
            self._endpoint.code, kind, cause=self._cause(reason, ToldError(status), close_code)
        )

    def _told(self, told: ToldError, retry_after: str | None) -> ProviderError:
        reason = next(
            (_REASONS[name.lower()] for name in told.names if name.lower() in _REASONS),
            _reason_of_status(told.status),
        )
        kind = _KINDS.get(reason, "refused")
        return make_failure(
            self._endpoint.code,
            kind,
            cause=self._cause(reason, told),
            retry_after_ms=parse_retry_after_ms(retry_after),
        )

    def _cause(self, reason: str, told: ToldError, close_code: int | None = None) -> Cause:
        endpoint = self._endpoint
        number = close_code if told.status is None else told.status
        shown = [str(number)] if number is not None else []
        shown += told.names[:1]
        advice = (self._advice.get(reason) or _ADVICE[reason]).format(
            called=endpoint.called[0].upper() + endpoint.called[1:],
            called_there=endpoint.called,
            host=endpoint.host,
            url=f"{endpoint.host}{_path(endpoint.base_url)}",
            key=endpoint.key_parameter,
            base_url=endpoint.url_parameter,
            model=endpoint.model_parameter,
            voice=endpoint.voice_parameter,
            model_name=f"'{endpoint.model}'",
            status=f" ({', '.join(shown)})" if shown else "",
        )
        code, kind = [*told.names, None, None][:2]
        return Cause(
            PROVIDER_OF_CODE[endpoint.code],
            reason,
            advice,
            endpoint.host,
            told.status,
            code,
            kind,
            told.request_id or next(filter(None, map(self._clean_id, self._ids)), None),
            close_code,
        )

    # --- what a provider wrote, as far as it may be written down ------------------------

    def _read(self, error: Any) -> ToldError:
        status: int | None = None
        names: list[str] = []
        request_id: str | None = None
        for field, value in _fields(error):
            if field == "request_id":
                request_id = request_id or self._clean_id(value)
            elif (number := _status_in(value)) is not None:
                status = status or number
            elif (name := self._clean_name(value)) and name not in names:
                names.append(name)
        return ToldError(status, tuple(names), request_id)

    def _clean_name(self, value: Any) -> str | None:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return None
        return value if value.lower() in _REASONS or not self._is_private(value) else None

    def _clean_id(self, value: Any) -> str | None:
        if not isinstance(value, str) or not _REQUEST_ID.fullmatch(value):
            return None
        return None if self._is_private(value) else value

    def _is_private(self, value: str) -> bool:
        """Return whether a provider sends back what it was sent, in whichever spelling."""
        sent_back = _characters(value)
        # A shorter key is a filler, such as `x`, for an endpoint that needs none.
        of_key = min(_SHARED_WITH_KEY, len(self._key))
        if of_key >= _SHORTEST_KEY and _share(sent_back, self._key, of_key):
            return True
        of_words = min(_SHARED_WITH_WORDS, len(sent_back))
        return any(_share(sent_back, _characters(text), of_words) for text in self._said)


def _characters(text: str) -> str:
    """Return the letters and digits of a text, without their case."""
    return "".join(filter(str.isalnum, text.casefold()))


def _share(one: str, other: str, size: int) -> bool:
    """Return whether two texts have `size` characters in a row in common."""
    return any(one[at : at + size] in other for at in range(len(one) - size + 1))


def _first(value: str) -> str:
    """Return the first value of a header that came more than once: HTTP joins them with commas."""
    return value.partition(",")[0].strip()


def _fields(error: Any, deeper: int = _MAX_DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an error that name it, from the innermost.

    Args:
        deeper: how many errors within errors are looked at.
    """
    if isinstance(error, str):
        yield "code", error
    if isinstance(error, list):  # Gemini answers with a list, FastAPI has one in `detail`
        error = error[0] if error else None
    if not isinstance(error, dict):
        return
    if deeper:
        for inner in ("error", "detail"):
            yield from _fields(error.get(inner), deeper - 1)
        if isinstance(error.get("details"), dict):  # elsewhere it is text
            yield from _fields(error["details"], deeper - 1)
    for field in _NAMING_FIELDS:
        if field in error and not (field == "type" and error[field] == "error"):
            yield field, error[field]


def _status_in(value: Any) -> int | None:
    """Return an HTTP status that an error's body or frame has for a code, as a number or as
    text."""
    if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
        return int(value)
    return int(value) if isinstance(value, int | float) and 400 <= value < 600 else None


def _parsed(body: bytes | bytearray) -> Any:
    try:
        return json.loads(body.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""


def _reason_of_status(status: int | None) -> str:
    # A lock that OpenAI waits for is 409, as its own client has it.
    if status is None or status in (408, 409, 425) or status >= 500:
        return "down"
    if 300 <= status < 400:
        return "redirect"
    named = {401: "key", 402: "quota", 403: "permission", 404: "not_found", 405: "not_found"}
    # 498 is Groq's for a lack of capacity.
    return "busy" if status in (429, 498) else named.get(status, "request")


def _reason_of(error: BaseException) -> str:
    """Return why there is no connection: what the exception, or one behind it, is."""
    if type(error).__name__ in _ON_A_CONNECTION:
        return "connection_lost"
    for behind in _chain(error):
        if isinstance(behind, socket.gaierror):
            return "host_not_found"
        if isinstance(behind, ssl.SSLError):
            return "tls_failed"
        if isinstance(behind, ConnectionRefusedError):
            return "connection_refused"
        if isinstance(behind, TimeoutError):
            return "connect_timeout"
        if isinstance(behind, OSError) and behind.errno in _NO_WAY:
            return "unreachable"
    return "connection_lost"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and its contexts."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):  # one for each address of a host
            waiting += found.exceptions
        waiting += [found.__cause__, found.__context__]
