"""What invoking a function and using `@connections` ask permission for."""

from __future__ import annotations

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall


def invoke(call: HttpCall, function: str, qualifier: str) -> Access:
    """Return the permissions for invoking a function, named as the Invoke API allows.

    Args:
        function: name, `name:alias`, partial or whole ARN.
        qualifier: an alias or version given apart; may be empty.
    """
    name = function.rpartition("function:")[2]
    reference = f"{name}:{qualifier}" if qualifier and ":" not in name else name
    return Access("lambda:InvokeFunction", call.arn("lambda", f"function:{reference}"))


def manage_connections(call: HttpCall, api_id: str, stage: str) -> Access:
    """Return the permissions for using `@connections`.

    API Gateway asks about the resource with the connection's id as a placeholder, so a
    policy that names one connection never matches.
    """
    resource = f"{api_id}/{stage}/{call.method}/@connections/{{connectionId}}"
    return Access("execute-api:ManageConnections", call.arn("execute-api", resource))
