"""The asynchronous invocation of the turn function."""

from __future__ import annotations

import msgspec

from parley.aws.credentials import find_endpoint, find_region
from parley.aws.service import Service, encode_path
from parley.protocol.turn_request import TurnRequest, WakeRequest

_HEADERS = {"content-type": "application/json", "x-amz-invocation-type": "Event"}


class TurnInvoker:
    """Invokes the turn function asynchronously: Lambda answers before the turn runs.

    Args:
        function: name or ARN of the turn function.
    """

    def __init__(self, function: str) -> None:
        self._path = f"/2015-03-31/functions/{encode_path(function)}/invocations"
        self._service = Service("lambda", find_endpoint("lambda", find_region()))

    def __call__(self, request: TurnRequest) -> None:
        """Have a turn run."""
        self._invoke(msgspec.json.encode(request))

    def wake(self, request: WakeRequest) -> None:
        """Have an environment be warm for a turn."""
        self._invoke(msgspec.json.encode({"wake": request}))

    def _invoke(self, payload: bytes) -> None:
        self._service.call("Invoke", self._path, payload, _HEADERS)
