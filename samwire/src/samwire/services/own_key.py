"""The stack's own access key: the developer's, and that of what the stack does itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from samwire.permissions.identities import Credentials

ACCESS_KEY_ID = "local"
"""Always the same: DynamoDB Local keeps a database for each access key id. The secret is new."""
PROFILE = "local-stack"
FILE = "aws-config"
_SECRET_BYTES = 30
_SECRET, _HINT = "LOCAL_STACK_SECRET", "LOCAL_STACK_HINT"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key that this stack alone has.

    Attributes:
        hint: says to whoever has none where it is.
    """

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(_SECRET_BYTES), repr=False)
    hint: str = ""

    @classmethod
    def from_variables(cls, environment: Mapping[str, str]) -> OwnKey:
        """Return the key that `variables` has put into an environment; one of its own without."""
        given = environment.get(_SECRET)
        return cls(given, environment.get(_HINT, "")) if given else cls()

    def variables(self) -> dict[str, str]:
        """Return the environment of a process that shall know the key."""
        return {_SECRET: self.secret, _HINT: self.hint}

    @property
    def credentials(self) -> Credentials:
        """As SDKs take it."""
        return Credentials(ACCESS_KEY_ID, self.secret, ACCESS_KEY_ID)

    def secret_of(self, access_key_id: str) -> str | None:
        """Return its secret, if the key is meant."""
        return self.secret if access_key_id == ACCESS_KEY_ID else None


def write_profile(
    path: Path, key: OwnKey, variables: Mapping[str, str], management_url: str
) -> None:
    """Write a file that `AWS_CONFIG_FILE` may name, for the developer's own tools.

    Nobody else can read it.

    Args:
        variables: as functions get them: where the services are.
        management_url: of `@connections`, with the stage.
    """
    lines = [
        f"[profile {PROFILE}]",
        f"region = {variables['AWS_REGION']}",
        f"aws_access_key_id = {ACCESS_KEY_ID}",
        f"aws_secret_access_key = {key.secret}",
        f"endpoint_url = {variables['AWS_ENDPOINT_URL']}",
        f"ca_bundle = {variables['AWS_CA_BUNDLE']}",
        f"services = {PROFILE}",
        "",
        f"[services {PROFILE}]",
    ]
    for service, url in (
        ("dynamodb", variables["AWS_ENDPOINT_URL_DYNAMODB"]),
        ("lambda", variables["AWS_ENDPOINT_URL_LAMBDA"]),
        ("apigatewaymanagementapi", management_url),
    ):
        lines += [f"{service} =", f"  endpoint_url = {url}"]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join([*lines, ""]))
