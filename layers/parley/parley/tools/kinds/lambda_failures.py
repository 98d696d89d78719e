"""Why the invocation of a tool's function gave no result, and whether it ran.

Sources: the errors of `Invoke` in Lambda's API reference, and those of the runtimes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from botocore import exceptions as boto

from parley.tools.tool import ToolFailed

NEVER_RAN = frozenset(
    {
        *("TooManyRequestsException", "ResourceNotReadyException", "ResourceConflictException"),
        *("EC2ThrottledException", "EC2UnexpectedException", "ENINotReadyException"),
        *("SnapStartNotReadyException", "CodeArtifactUserPendingException"),
    }
)
"""Errors that pass, of an invocation that has not begun: it may be sent again."""
_CANNOT_RUN = frozenset(
    {
        *("EC2AccessDeniedException", "ENILimitReachedException", "SnapStartTimeoutException"),
        *("SubnetIPAddressLimitReachedException", "InvalidRuntimeException"),
        *("InvalidSecurityGroupIDException", "InvalidSubnetIDException", "InvalidZipFileException"),
        *("KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException"),
        *("KMSNotFoundException", "ServiceQuotaExceededException", "SnapStartException"),
        *("EFSMountConnectivityException", "EFSMountFailureException", "EFSMountTimeoutException"),
        *("S3FilesMountConnectivityException", "S3FilesMountFailureException"),
        *("S3FilesMountTimeoutException", "NoPublishedVersionException"),
        *("CodeArtifactUserDeletedException", "CodeArtifactUserFailedException"),
        *("RuntimeAliasDeletedException", "RuntimeVersionDeletedException"),
        *("SnapStartRegenerationFailureException", "ResourceNotFoundException"),
    }
)
"""Errors of an invocation that has not begun, and will not before somebody mends it."""
_MAY_HAVE_RUN = frozenset({"DurableExecutionAlreadyStartedException", "EFSIOException"})
_NOT_LOADED = frozenset(
    {
        *("Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError"),
        *("Runtime.MalformedHandlerName", "Runtime.UnmarshalError", "Runtime.InvalidEntrypoint"),
        "Runtime.BuiltInModuleConflict",
    }
)
"""Errors of a runtime that has not called the handler."""
_TIMED_OUT = "Sandbox.Timedout"
_ERROR_TYPE = re.compile(r"[A-Za-z_][\w.]{0,99}")


_ADVICE = {
    "ResourceNotFoundException": "There is no function {function} in this account and region: "
    "deploy it under this name, or correct `lambda`.",
    "AccessDeniedException": "Turns may not invoke {function}: its name begins with the stack's "
    "and -tool-, or ToolFunctionArns lists it.",
}


class NeverRan(ToolFailed):
    """A call has not begun, for a reason that may pass."""


def failure_of(error: boto.BotoCoreError | boto.ClientError, function: str) -> ToolFailed:
    """Return what an error of botocore says of a call of a function, by its name or ARN."""
    if isinstance(error, boto.ClientError):
        return _failure_of_answer(error, function)
    fields = {"cause": type(error).__name__}
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError):
        return NeverRan("unavailable", acted=False, log_fields=fields)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return ToolFailed("refused", acted=False, log_fields=fields)
    if isinstance(error, boto.ReadTimeoutError):
        return ToolFailed("timeout", acted=True, log_fields=fields)
    return ToolFailed("unavailable", acted=True, log_fields=fields)


def _failure_of_answer(error: boto.ClientError, function: str) -> ToolFailed:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    fields = {"cause": code, "status": status}
    if advice := _ADVICE.get(code):
        fields["advice"] = advice.format(function=function)
    if code in NEVER_RAN or status == 429:
        return NeverRan("unavailable", acted=False, log_fields=fields)
    if code in _CANNOT_RUN:
        return ToolFailed("unavailable", acted=False, log_fields=fields)
    if code in _MAY_HAVE_RUN or not 400 <= status < 500:
        return ToolFailed("unavailable", acted=True, log_fields=fields)
    return ToolFailed("refused", acted=False, log_fields=fields)


def failure_of_function(payload: bytes) -> ToolFailed:
    """Return what an error of the function itself says of a call.

    Args:
        payload: of an answer with a `FunctionError`. Its message is nobody's to read.
    """
    found = _error_type(payload)
    timed_out = found == _TIMED_OUT or b"Task timed out after" in payload
    return ToolFailed(
        "timeout" if timed_out else "unavailable",
        acted=found not in _NOT_LOADED,
        log_fields={"cause": "function_error", "error_type": found},
    )


def _error_type(payload: bytes) -> str:
    try:
        value: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    name = value.get("errorType") if isinstance(value, dict) else None
    return name if isinstance(name, str) and _ERROR_TYPE.fullmatch(name) else ""
