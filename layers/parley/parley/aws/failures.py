"""Why a call of AWS failed: the service refused it, or nothing came of it at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """A call of AWS failed."""


class ServiceError(AwsError):
    """The service answered with an error.

    Args:
        response: the answer, as botocore's `ClientError` has it: `Error` with `Code` and `Message`,
            `ResponseMetadata` with `HTTPStatusCode`, and what else the service says of this error.
        operation_name: the operation, e.g. `PutItem`.
    """

    def __init__(self, response: Mapping[str, Any], operation_name: str) -> None:
        self.response = dict(response)
        self.operation_name = operation_name
        # Not its message: what a service quotes may be what a user has said.
        super().__init__(f"{operation_name}: {self.code}")

    @property
    def code(self) -> str:
        """The service's name of the error; empty if it gave none."""
        return str(self.response.get("Error", {}).get("Code") or "")

    @property
    def status(self) -> int:
        """The HTTP status; 0 if it is not known."""
        return int(self.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


class CallFailed(AwsError):
    """There was no answer."""


class NoCredentials(CallFailed):
    """There is nothing to sign a call with."""


class CannotConnect(CallFailed):
    """No connection to the endpoint was opened."""


class ConnectTimedOut(CannotConnect):
    """No connection to the endpoint was opened in time."""


class ReadTimedOut(CallFailed):
    """The endpoint took the call, and did not answer in time. It may act on it."""


class ConnectionLost(CallFailed):
    """The connection broke, or what came over it is no answer. The endpoint may have acted."""
