"""Roles, and resources besides tables, as they are read from a template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samwire.function_credentials import issue_role_credentials
from samwire.permissions.identities import Role
from samwire.template.intrinsics import TemplateError
from samwire.template.resources import Subscription
from samwire.template.roles import managed_policy
from samwire_tests.test_template_details import function, read

ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
DOCUMENT = {"Version": "2012-10-17", "Statement": [ALLOW]}


TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}


def role(**properties: Any) -> dict[str, Any]:
    trust = {"Statement": [{**TRUST, "Action": "sts:AssumeRole"}]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, **properties},
    }


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::IAM::Policy", {"Roles": [{"Ref": "R"}], "PolicyName": "p"}),
        ("AWS::IAM::ManagedPolicy", {"Roles": [{"Ref": "R"}]}),
        ("AWS::IAM::RolePolicy", {"RoleName": {"Ref": "R"}, "PolicyName": "p"}),
    ],
)
def test_a_policy_can_name_the_roles_it_is_for(
    tmp_path: Path, kind: str, properties: dict[str, Any]
) -> None:
    policy = {"Type": kind, "Properties": {**properties, "PolicyDocument": DOCUMENT}}
    stack = read(tmp_path, {"R": role(), "Other": role(), "P": policy})
    assert stack.roles["local-R"].policies == {"P": DOCUMENT}
    assert not stack.roles["local-Other"].policies


@pytest.mark.parametrize(
    "name", ["AmazonSQSFullAccess", "arn:aws:iam::aws:policy/AmazonSQSFullAccess"]
)
def test_policies_of_aws_are_known_by_name_and_arn(tmp_path: Path, name: str) -> None:
    stack = read(tmp_path, {"F": function(Policies=[name])})
    (_, document) = stack.roles["local-FRole"].policies.values()
    assert "sqs:*" in document["Statement"][0]["Action"]
    assert stack.notices == []


@pytest.mark.parametrize(
    ("policy", "action"),
    [
        ("service-role/AWSLambdaBasicExecutionRole", "logs:PutLogEvents"),
        ("AWSXRayDaemonWriteAccess", "xray:PutTraceSegments"),
        ("AWSXrayWriteOnlyAccess", "xray:PutTraceSegments"),
        ("service-role/AWSLambdaVPCAccessExecutionRole", "ec2:CreateNetworkInterface"),
        ("AmazonDynamoDBFullAccess", "dynamodb:*"),
        ("AdministratorAccess", "*"),
    ],
)
def test_managed_policies_are_part_of_what_a_role_may_do(
    tmp_path: Path, policy: str, action: str
) -> None:
    arn = f"arn:aws:iam::aws:policy/{policy}"
    stack = read(tmp_path, {"R": role(ManagedPolicyArns=[arn])})
    (statement, *_) = stack.roles["local-R"].policies[arn]["Statement"]
    assert action in statement["Action"]


def test_what_sam_gives_to_every_function_is_part_of_its_role(tmp_path: Path) -> None:
    stack = read(tmp_path, {"F": function(Tracing="Active")})
    assert [name.rpartition("/")[2] for name in stack.roles["local-FRole"].policies] == [
        "AWSLambdaBasicExecutionRole",
        "AWSXrayWriteOnlyAccess",
    ]


def test_the_policies_that_are_known_beforehand_are_those_of_aws() -> None:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    theirs = json.loads(aws_managed_policies_data)
    for name in ("AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess"):
        ours = managed_policy(name)
        assert ours is not None
        (mine,), (their,) = ours["Statement"], theirs[name]["Document"]["Statement"]
        assert mine == {key: their[key] for key in mine}


@pytest.mark.parametrize(
    ("properties", "arn"),
    [
        ({"RoleName": "own"}, "arn:aws:iam::123456789012:role/own"),
        ({"RoleName": "own"}, {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/own"}),
        ({"RoleName": "own", "Path": "/app/"}, "arn:aws:iam::123456789012:role/app/own"),
        ({"Path": "/app/one/"}, {"Fn::GetAtt": ["R", "Arn"]}),
    ],
    ids=str,
)
def test_a_role_may_be_given_by_its_arn(
    tmp_path: Path, properties: dict[str, Any], arn: Any
) -> None:
    callers = issue_role_credentials(
        read(tmp_path, {"R": role(**properties), "F": function(Role=arn)})
    )
    (session,) = callers.directory.sessions.values()
    assert session.role == properties.get("RoleName", "local-R")
    assert callers.notices == []


@pytest.mark.parametrize("path", [{}, {"Path": "/app/"}], ids=str)
def test_a_policy_of_ones_own_may_be_given_by_its_arn(tmp_path: Path, path: dict[str, str]) -> None:
    own = {"ManagedPolicyName": "own", "PolicyDocument": DOCUMENT, **path}
    arn = f"arn:aws:iam::123456789012:policy{path.get('Path', '/')}own"
    stack = read(
        tmp_path,
        {
            "P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": own},
            "R": role(ManagedPolicyArns=[arn], PermissionsBoundary=arn),
        },
    )
    assert stack.roles["local-R"] == Role({arn: DOCUMENT}, DOCUMENT)
    assert stack.notices == []


def test_roles_can_be_shared_and_each_function_has_a_session_of_its_own(tmp_path: Path) -> None:
    mine = {"Role": {"Fn::GetAtt": ["R", "Arn"]}}
    resources = {"R": role(RoleName="one"), "F": function(**mine), "G": function(**mine)}
    callers = issue_role_credentials(read(tmp_path, resources))
    sessions = callers.directory.sessions
    assert [session.arn for session in sessions.values()] == [
        "arn:aws:sts::123456789012:assumed-role/one/local-F",
        "arn:aws:sts::123456789012:assumed-role/one/local-G",
    ]
    assert list(sessions) == [each.access_key_id for each in callers.credentials.values()]


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (
            {"R": role(Policies=[{"PolicyName": "mine", "PolicyDocument": {"Statement": []}}])},
            "R: mine: The policy must have a Statement: an object or a list of them.",
        ),
        (
            {
                "P": {
                    "Type": "AWS::IAM::ManagedPolicy",
                    "Properties": {"PolicyDocument": {"Statement": {**ALLOW, "Action": "Get"}}},
                }
            },
            "P: Statement 1: the action 'Get' must be service:Operation.",
        ),
        (
            {
                "F": function(
                    Policies=[
                        {"Statement": {**ALLOW, "Condition": {"StringEqual": {"aws:userid": "x"}}}}
                    ]
                )
            },
            "FRole: FRolePolicy0: Statement 1: StringEqual is no condition operator.",
        ),
    ],
    ids=["inline", "managed", "of a function"],
)
def test_what_is_no_policy_ends_the_start_with_a_sentence(
    tmp_path: Path, resources: dict[str, Any], said: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        read(tmp_path, resources)
    assert str(refused.value).startswith(f"{said} [AWS, ")


VALUES = {
    "Bucket": {"Ref": "MyBucket"},
    "BucketArn": {"Fn::GetAtt": ["MyBucket", "Arn"]},
    "BucketDomain": {"Fn::GetAtt": ["MyBucket", "RegionalDomainName"]},
    "Queue": {"Ref": "Q"},
    "QueueUrl": {"Fn::GetAtt": ["Q", "QueueUrl"]},
    "QueueArn": {"Fn::GetAtt": ["Q", "Arn"]},
    "QueueName": {"Fn::GetAtt": ["Q", "QueueName"]},
    "Fifo": {"Fn::GetAtt": ["Fifo", "QueueName"]},
    "Topic": {"Ref": "T"},
    "TopicName": {"Fn::GetAtt": ["T", "TopicName"]},
    "Parameter": {"Ref": "S"},
    "Value": {"Fn::GetAtt": ["S", "Value"]},
    "Policy": {"Ref": "P"},
}
STORED = {
    "MyBucket": {"Type": "AWS::S3::Bucket"},
    "Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs", "DelaySeconds": 5}},
    "Fifo": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}},
    "T": {"Type": "AWS::SNS::Topic"},
    "Sub": {
        "Type": "AWS::SNS::Subscription",
        "Properties": {
            "TopicArn": {"Ref": "T"},
            "Protocol": "sqs",
            "Endpoint": {"Fn::GetAtt": ["Q", "Arn"]},
            "RawMessageDelivery": True,
            "FilterPolicy": {"kind": ["x"]},
        },
    },
    "S": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "on"}},
    "P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": DOCUMENT}},
}


def test_references_to_resources_are_those_of_aws(tmp_path: Path) -> None:
    outputs = {name: {"Value": value} for name, value in VALUES.items()}
    stack = read(tmp_path, STORED, Outputs=outputs)
    assert stack.outputs == {
        "Bucket": "local-mybucket",
        "BucketArn": "arn:aws:s3:::local-mybucket",
        "BucketDomain": "local-mybucket.s3.eu-west-1.amazonaws.com",
        "Queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs",
        "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs",
        "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:jobs",
        "QueueName": "jobs",
        "Fifo": "local-Fifo.fifo",
        "Topic": "arn:aws:sns:eu-west-1:123456789012:local-T",
        "TopicName": "local-T",
        "Parameter": "local-S",
        "Value": "on",
        "Policy": "arn:aws:iam::123456789012:policy/local-P",
    }
    assert stack.notices == []


def test_attributes_are_texts_as_their_services_take_them(tmp_path: Path) -> None:
    stored = read(tmp_path, STORED).stored
    assert [queue.attributes for queue in stored.queues] == [
        {"DelaySeconds": "5"},
        {"FifoQueue": "true"},
    ]
    assert stored.subscriptions == [
        Subscription(
            "arn:aws:sns:eu-west-1:123456789012:local-T",
            "arn:aws:sqs:eu-west-1:123456789012:jobs",
            {"FilterPolicy": '{"kind": ["x"]}', "RawMessageDelivery": "true"},
        )
    ]


def test_events_of_a_bucket_are_named_as_missing(tmp_path: Path) -> None:
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"NotificationConfiguration": {"QueueConfigurations": []}},
    }
    assert read(tmp_path, {"B": bucket}).notices == ["B: events of a bucket are not sent here."]
