"""Who calls: the session of a role that every function runs as, with its own credentials."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samwire.permissions.policies import PolicyError

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_BYTES = 30
_TOKEN_BYTES = 96


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials, in the form of those that Lambda gives a function."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    @classmethod
    def new(cls) -> Credentials:
        """Make credentials that nobody else has."""
        return cls(
            access_key_id="ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
            secret_access_key=base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode(),
            session_token=base64.b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode(),
        )

    def variables(self) -> dict[str, str]:
        """Return the environment variables that every SDK looks at."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


@dataclass(frozen=True, slots=True)
class Session:
    """A role, assumed by a function.

    Attributes:
        role: name of the role.
        name: of the session; Lambda uses the function's.
        function_arn: the function that the calls come from.
    """

    account_id: str
    role: str
    name: str
    function_arn: str

    @property
    def arn(self) -> str:
        """The caller, as messages name it."""
        return f"arn:aws:sts::{self.account_id}:assumed-role/{self.role}/{self.name}"

    @property
    def role_arn(self) -> str:
        """What `aws:PrincipalArn` is for a session."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role}"

    @property
    def user_id(self) -> str:
        """What `aws:userid` is: the role's unique id and the session's name."""
        digest = hashlib.sha256(self.role.encode()).digest()
        unique = "".join(_ALPHABET[byte % 32] for byte in digest[:17])
        return f"AROA{unique}:{self.name}"


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do.

    Attributes:
        policies: documents by name.
        boundary: the document of its permissions boundary, if it has one.
    """

    policies: Mapping[str, Any]
    boundary: Any = None

    def as_json(self) -> dict[str, Any]:
        """Return this as plain data."""
        return {"policies": dict(self.policies), "boundary": self.boundary}

    @classmethod
    def from_json(cls, name: str, data: object) -> Role:
        """Make this from plain data.

        Raises:
            PolicyError: it has another shape.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("policies"), Mapping):
            raise PolicyError(f"{name}: a role must have policies: documents by name.")
        return cls(dict(data["policies"]), data.get("boundary"))


@dataclass(slots=True)
class Directory:
    """All sessions by access key id, and all roles by name.

    Attributes:
        secrets: of the functions, by access key id; also of those that may do everything and
            have no session.
    """

    sessions: dict[str, Session] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return this as plain data, for another process."""
        return {
            "sessions": {
                key: {
                    "account_id": session.account_id,
                    "role": session.role,
                    "name": session.name,
                    "function_arn": session.function_arn,
                }
                for key, session in self.sessions.items()
            },
            "roles": {name: role.as_json() for name, role in self.roles.items()},
            "secrets": self.secrets,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Directory:
        """Make this from plain data that `as_json` made."""
        return cls(
            {key: Session(**session) for key, session in data["sessions"].items()},
            {name: Role.from_json(name, role) for name, role in data["roles"].items()},
            dict(data["secrets"]),
        )
