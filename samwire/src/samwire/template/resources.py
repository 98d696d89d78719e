"""Buckets, queues, topics and parameters of a template, as their services take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samwire.template.resolved import Resolved

_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)
_TOPIC_ATTRIBUTES = ("ContentBasedDeduplication", "DisplayName", "FifoTopic")
_SUBSCRIPTION_ATTRIBUTES = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery")
_WITHOUT_EFFECT = {
    "AWS::S3::Bucket": ("NotificationConfiguration", "events of a bucket are not sent here"),
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket."""

    logical_id: str
    name: str
    versioned: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue, with attributes as `CreateQueue` takes them."""

    logical_id: str
    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Topic:
    """An SNS topic, with attributes as `CreateTopic` takes them."""

    logical_id: str
    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue that gets what is published to a topic."""

    topic_arn: str
    queue_arn: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of SSM's parameter store.

    Attributes:
        kind: `String` or `StringList`; CloudFormation makes no `SecureString`.
    """

    logical_id: str
    name: str
    kind: str
    value: str


@dataclass(slots=True)
class StoredResources:
    """What is created besides tables and secrets."""

    buckets: list[Bucket] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    topics: list[Topic] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)


class StoredResourceReader:
    """Reads the resources of one template."""

    def __init__(self, template: Resolved) -> None:
        self._of = template.of
        self._ref = template.ref
        self._name = template.name
        self._notice = template.notice

    def resources(self) -> StoredResources:
        """Return all of them; what is left out is told."""
        for kind, (key, said) in _WITHOUT_EFFECT.items():
            for logical_id, properties in self._of(kind).items():
                if properties.get(key):
                    self._notice(f"{logical_id}: {said}.")
        return StoredResources(
            buckets=[
                Bucket(logical_id, self._name(logical_id), _versioned(properties))
                for logical_id, properties in self._of("AWS::S3::Bucket").items()
            ],
            queues=[
                Queue(logical_id, self._name(logical_id), _texts(properties, _QUEUE_ATTRIBUTES))
                for logical_id, properties in self._of("AWS::SQS::Queue").items()
            ],
            topics=[
                Topic(logical_id, self._name(logical_id), _texts(properties, _TOPIC_ATTRIBUTES))
                for logical_id, properties in self._of("AWS::SNS::Topic").items()
            ],
            subscriptions=self._subscriptions(),
            parameters=[
                Parameter(
                    logical_id,
                    self._name(logical_id),
                    str(properties.get("Type", "String")),
                    str(properties.get("Value", "")),
                )
                for logical_id, properties in self._of("AWS::SSM::Parameter").items()
            ],
        )

    def _subscriptions(self) -> list[Subscription]:
        wanted = [
            (logical_id, str(self._ref(logical_id)), subscription)
            for logical_id, properties in self._of("AWS::SNS::Topic").items()
            for subscription in properties.get("Subscription") or []
        ]
        wanted += [
            (logical_id, str(properties.get("TopicArn", "")), properties)
            for logical_id, properties in self._of("AWS::SNS::Subscription").items()
        ]
        found = []
        for logical_id, topic_arn, properties in wanted:
            if properties.get("Protocol") == "sqs":
                attributes = _texts(properties, _SUBSCRIPTION_ATTRIBUTES)
                found.append(Subscription(topic_arn, str(properties["Endpoint"]), attributes))
            else:
                self._notice(
                    f"{logical_id}: subscriptions with the protocol {properties.get('Protocol')} "
                    "are not served here, only sqs."
                )
        return found


def _versioned(properties: Mapping[str, Any]) -> bool:
    return (properties.get("VersioningConfiguration") or {}).get("Status") == "Enabled"


def _texts(properties: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return the properties that are there, as texts: objects as JSON, as these services want
    them."""
    return {name: _text(properties[name]) for name in names if name in properties}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
