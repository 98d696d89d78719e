"""Gives every function credentials of the role that the template gives it."""

from __future__ import annotations

from dataclasses import dataclass, field

from samwire.permissions.identities import Credentials, Directory, Session
from samwire.template.intrinsics import ACCOUNT_ID
from samwire.template.model import Stack

_ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/"


@dataclass(slots=True)
class FunctionCredentials:
    """The functions of a stack as callers of services.

    Attributes:
        credentials: by logical id of the function.
        notices: a sentence for every function that may do everything.
    """

    directory: Directory
    credentials: dict[str, Credentials] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def give(self, logical_id: str, credentials: Credentials) -> Credentials:
        """Give a function its credentials; what it signs with them will be known as its own."""
        self.credentials[logical_id] = credentials
        self.directory.secrets[credentials.access_key_id] = credentials.secret_access_key
        return credentials


def issue_role_credentials(stack: Stack) -> FunctionCredentials:
    """Issue credentials for all functions; those of a role that is elsewhere may do everything."""
    found = FunctionCredentials(Directory(roles=dict(stack.roles)))
    for function in stack.functions:
        credentials = found.give(function.logical_id, Credentials.new())
        own = function.role.startswith(_ROLE_ARN)
        role = function.role.rpartition("/")[2] if own else ""  # a path may be between the two
        if role in stack.roles:
            found.directory.sessions[credentials.access_key_id] = Session(
                ACCOUNT_ID, role, function.name, function.arn
            )
        else:
            found.notices.append(
                f"{function.logical_id}: its role {function.role or '(none)'} is not in the "
                "template; here it may do everything."
            )
    return found


def share_credentials(stack: Stack, shared: Credentials) -> FunctionCredentials:
    """Give all functions the same credentials, which may do everything."""
    found = FunctionCredentials(Directory())
    for function in stack.functions:
        found.give(function.logical_id, shared)
    return found
