"""Keys for Amazon Bedrock, made of the function's role: none is stored, and none asked for.

A short-term key is a request that was signed in advance, as aws-bedrock-token-generator makes it.
Making one takes half a millisecond, and no network.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials

from parley import clock
from parley.aws import clients
from parley.providers.diagnosis import Diagnosis, Endpoint

EXPIRES_S = 900
"""How long a key is valid, if the role's credentials are: one that gets lost is soon of no use."""
KEPT_S = 300.0
"""How long a key is used: the longest turn that begins with it ends before it expires."""

_HOST = "bedrock.amazonaws.com"


def make_key(credentials: Credentials | ReadOnlyCredentials, region: str) -> str:
    """Make a key of a role's credentials, for Bedrock in one region."""
    request = AWSRequest(
        "POST", f"https://{_HOST}/", {"host": _HOST}, params={"Action": "CallWithBearerToken"}
    )
    SigV4QueryAuth(credentials, "bedrock", region, expires=EXPIRES_S).add_auth(request)
    signed = f"{str(request.url).removeprefix('https://')}&Version=1"
    return f"bedrock-api-key-{base64.b64encode(signed.encode()).decode()}"


def bearer_header(key: str) -> dict[str, str]:
    """Return the header that a key goes in."""
    return {"Authorization": f"Bearer {key}"}


class BedrockKeys:
    """Gives the key of the function's role; a new one after some minutes, or when the role has got
    other credentials."""

    def __init__(
        self,
        endpoint: Endpoint,
        region: str,
        *,
        find: Callable[[], Credentials | None] = clients.find_credentials,
        # A key expires by the time of day. Other clocks may have stood still in a frozen function.
        now_s: Callable[[], float] = clock.now_s,
    ) -> None:
        self._endpoint = endpoint
        self._region = region
        self._find = find
        self._now_s = now_s
        self._made_of: ReadOnlyCredentials | None = None
        self._made_at_s = 0.0
        self._key = ""

    async def __call__(self) -> str:
        """Return a key.

        Raises:
            ProviderError: the function has no credentials.
        """
        found = self._find()
        if found is None:
            raise Diagnosis(self._endpoint).make_error("no_role", "unauthorized")
        # Lambda's are in the environment: reading them waits for nothing.
        credentials = found.get_frozen_credentials()
        now_s = self._now_s()
        if credentials != self._made_of or now_s >= self._made_at_s + KEPT_S:
            self._key = make_key(credentials, self._region)
            self._made_of, self._made_at_s = credentials, now_s
        return self._key
