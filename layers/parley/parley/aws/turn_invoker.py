"""The asynchronous invocation of the turn function."""

from __future__ import annotations

import msgspec

from parley.aws import clients
from parley.protocol.turn_request import TurnRequest, WakeRequest


class TurnInvoker:
    """Invokes the turn function asynchronously: Lambda answers before the turn runs.

    Args:
        function: name or ARN of the turn function.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._client = clients.lambda_()

    def __call__(self, request: TurnRequest) -> None:
        """Have a turn run."""
        self._invoke(msgspec.json.encode(request))

    def wake(self, request: WakeRequest) -> None:
        """Have an environment be warm for a turn."""
        self._invoke(msgspec.json.encode({"wake": request}))

    def _invoke(self, payload: bytes) -> None:
        self._client.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=payload,
        )
