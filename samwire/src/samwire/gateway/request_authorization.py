"""Who signs a request, and whether they may make it.

The signature names an access key. What that key may do is decided elsewhere: `Access` is
given two functions, and by default every key is known and everything is allowed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from samwire.signatures import (
    Signature,
    SignedRequest,
    is_current,
    is_valid,
    path_of_others,
    signature_of,
)

Authorise = Callable[[str, str, str], None]
"""Takes access key id, action and resource ARN; raises `NotAllowed` to refuse."""
SecretOf = Callable[[str], str | None]
"""The secret of an access key id; None for a key that nobody has."""

_SERVICE = "execute-api"
"""What requests to API Gateway's APIs are signed for."""


class NotAllowed(Exception):
    """A request is refused; its message is told to the caller (403)."""


def allow_everything(_access_key_id: str, _action: str, _resource: str) -> None:
    """Allow everything."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in.

    Attributes:
        region: that signatures must be for.
        secret_of: None if signatures need only be there.
    """

    region: str
    authorise: Authorise = allow_everything
    secret_of: SecretOf | None = None

    def check(
        self,
        method: str,
        raw_target: str,
        headers: Mapping[str, str],
        body: bytes,
        resource: str,
        action: str = "execute-api:ManageConnections",
    ) -> None:
        """Check one request.

        Args:
            raw_target: path and query as they were sent; the query may have the signature.
            resource: its ARN.

        Raises:
            NotAllowed: it is not signed, not rightly, or its caller may not.
        """
        authorization = next((v for k, v in headers.items() if k.lower() == "authorization"), "")
        path, _, query = raw_target.partition("?")
        signature = signature_of(authorization, query)
        if not authorization and signature is None:
            raise NotAllowed("Missing Authentication Token")
        if self.secret_of is not None:
            if signature is None:
                raise NotAllowed(
                    "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature'."
                )
            lower = {name.lower(): value for name, value in headers.items()}
            digest = hashlib.sha256(body).hexdigest()
            signed = SignedRequest(method, path_of_others(path), query, lower, digest)
            self._verify(signature, self.secret_of(signature.access_key_id), signed)
        key = signature.access_key_id if signature is not None else ""
        self.authorise(key, action, resource)

    def _verify(self, signature: Signature, secret: str | None, request: SignedRequest) -> None:
        if secret is None:
            raise NotAllowed("The security token included in the request is invalid.")
        if signature.service != _SERVICE:
            raise NotAllowed(f"Credential should be scoped to correct service: '{_SERVICE}'.")
        if signature.region != self.region:
            raise NotAllowed(f"Credential should be scoped to a valid region: '{self.region}'.")
        if not is_current(signature, request.headers, time.time()):
            made = signature.made_at(request.headers)
            raise NotAllowed(f"Signature expired or not yet current: {made}.")
        if not is_valid(signature, secret, request):
            raise NotAllowed(
                "The request signature we calculated does not match the signature you "
                "provided. Check your AWS Secret Access Key and signing method."
            )
