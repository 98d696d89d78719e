"""Names that a template gives to two resources, of which AWS creates one."""

from __future__ import annotations

from collections.abc import Iterator

from samwire.template.problems import Problem
from samwire.template.resolved import Resolved

_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
}
_PAGE = 'AWS, "Name type"'


def name_problems(template: Resolved) -> Iterator[Problem]:
    """Yield a problem for each resource whose name another has too."""
    for kind, key in _NAMES.items():
        users: dict[str, list[str]] = {}
        for logical_id, properties in template.of(kind).items():
            if isinstance(properties.get(key), str):
                users.setdefault(properties[key], []).append(logical_id)
        for name, logical_ids in users.items():
            for logical_id in logical_ids if len(logical_ids) > 1 else []:
                others = ", ".join(other for other in logical_ids if other != logical_id)
                yield Problem(logical_id, f"{key} {name} is that of {others} too.", _PAGE, (key,))
