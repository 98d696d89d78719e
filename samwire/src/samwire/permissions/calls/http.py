"""An HTTP request to an AWS service as far as permissions need it, and who has signed it.

Signatures are not verified: the access key id names the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

_ALGORITHM = "AWS4-HMAC-SHA256 "


@dataclass(frozen=True)
class HttpCall:
    """A signed request.

    Attributes:
        path: decoded, with a leading slash.
        query: undecoded.
        headers: by name in lower case.
        account_id: that the resources belong to.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str
    account_id: str

    @cached_property
    def scope(self) -> tuple[str, str, str]:
        """Access key id, region and service it was signed for; empty if it was not signed."""
        authorization = self.headers.get("authorization", "")
        if authorization.startswith(_ALGORITHM):
            _, _, rest = authorization.partition("Credential=")
            credential = rest.partition(",")[0].strip()
        else:
            credential = self.parameters.get("X-Amz-Credential", "")  # a presigned URL
        parts = credential.split("/")
        return (parts[-5], parts[-3], parts[-2]) if len(parts) >= 5 else ("", "", "")

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Of the query string; those without a value are empty."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @cached_property
    def operation(self) -> str:
        """Of the JSON and query protocols; empty for the others."""
        target = self.headers.get("x-amz-target", "")
        return target.rpartition(".")[2] if target else self.members.get("Action", "")

    @cached_property
    def members(self) -> dict[str, Any]:
        """What the JSON or query protocol carries; empty for what is neither."""
        if "x-amz-target" in self.headers:
            try:
                found = json.loads(self.body)
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
        if "x-www-form-urlencoded" in self.headers.get("content-type", ""):
            form = dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
            return {**self.parameters, **form}
        return dict(self.parameters)

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the region that was signed for."""
        return f"arn:aws:{service}:{self.scope[1]}:{self.account_id}:{resource}"
