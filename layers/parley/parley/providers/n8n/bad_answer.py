"""An answer of n8n's that is no reply."""

from __future__ import annotations

from collections.abc import Sequence

from parley.errors import FailureKind


class BadAnswer(Exception):
    """An answer that is no reply, or whose reply is not whole.

    Attributes:
        reason: a key of the advice.
        fields: the names of its fields, where its reply was looked for in vain.
    """

    def __init__(self, reason: str, kind: FailureKind, fields: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind: FailureKind = kind
        self.fields = fields
