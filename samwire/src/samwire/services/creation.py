"""Creates a template's resources through the services' own APIs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from samwire.template.model import Secret, Stack, Table
from samwire.template.resources import StoredResources

_HOME_OF_S3 = "us-east-1"
"""`CreateBucket` takes every region but this one as a location constraint."""

Client = Callable[[str], Any]
"""Takes a service's name; a boto3 client of it."""


def create_resources(stack: Stack, client: Client) -> None:
    """Create everything that the template asks for.

    Raises:
        BotoCoreError: a service cannot be reached.
        ClientError: a service refuses a definition.
    """
    if stack.tables:
        dynamodb = client("dynamodb")
        for table in stack.tables:
            _create_table(dynamodb, table)
    if stack.secrets:
        manager = client("secretsmanager")
        for secret in stack.secrets:
            manager.create_secret(Name=secret.name, **_value(secret))
    _create_stored(stack.stored, stack.region, client)


def _create_table(dynamodb: Any, table: Table) -> None:
    with contextlib.suppress(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(TableName=table.name, **table.definition)
    if table.ttl_attribute:
        ttl = {"AttributeName": table.ttl_attribute, "Enabled": True}
        with contextlib.suppress(dynamodb.exceptions.ClientError):
            dynamodb.update_time_to_live(TableName=table.name, TimeToLiveSpecification=ttl)


def _value(secret: Secret) -> dict[str, str]:
    return {} if secret.value is None else {"SecretString": secret.value}


def _create_stored(stored: StoredResources, region: str, client: Client) -> None:
    """Create queues before what sends to them; each service is asked only if there is need."""
    for bucket in stored.buckets:
        s3 = client("s3")
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket.name, **({} if region == _HOME_OF_S3 else where))
        if bucket.versioned:
            s3.put_bucket_versioning(
                Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
            )
    for queue in sorted(stored.queues, key=lambda each: "RedrivePolicy" in each.attributes):
        client("sqs").create_queue(QueueName=queue.name, Attributes=queue.attributes)
    for topic in stored.topics:
        client("sns").create_topic(Name=topic.name, Attributes=topic.attributes)
    for subscription in stored.subscriptions:
        client("sns").subscribe(
            TopicArn=subscription.topic_arn,
            Protocol="sqs",
            Endpoint=subscription.queue_arn,
            Attributes=subscription.attributes,
        )
    for parameter in stored.parameters:
        client("ssm").put_parameter(Name=parameter.name, Value=parameter.value, Type=parameter.kind)
