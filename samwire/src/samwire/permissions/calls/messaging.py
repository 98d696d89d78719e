"""What calls of SQS and SNS ask permission for."""

from __future__ import annotations

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.patterns import Context


def sqs(call: HttpCall) -> list[Access]:
    """Return the needs of SQS. A batch needs what its entries need; messages have the action in
    lower case."""
    operation = call.operation.removesuffix("Batch")
    url = str(call.members.get("QueueUrl", "")) or call.path
    name = url.rstrip("/").rpartition("/")[2] or str(call.members.get("QueueName", ""))
    action = f"sqs:{operation}"
    return [Access(action, call.arn("sqs", name or "*"), shown=action.lower())]


def sns(call: HttpCall) -> list[Access]:
    """Return the needs of SNS. Messages have the service in capitals."""
    members, operation = call.members, call.operation
    action = "Publish" if operation == "PublishBatch" else operation
    resource = next(
        (
            str(members[name])
            for name in ("TopicArn", "TargetArn", "ResourceArn", "PhoneNumber")
            if members.get(name)
        ),
        "",
    )
    if members.get("SubscriptionArn"):
        resource = str(members["SubscriptionArn"]).rpartition(":")[0]  # the topic's
    if not resource:
        resource = call.arn("sns", str(members.get("Name") or "*"))

    def keys() -> Context:
        return {
            f"sns:{name.lower()}": (str(members[name]),)
            for name in ("Endpoint", "Protocol")
            if members.get(name)
        }

    return [Access(f"sns:{action}", resource, keys, shown=f"SNS:{action}")]
