"""Permissions of real functions that call the local services through boto3."""

from __future__ import annotations

import contextlib
import json
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from samwire_tests.app_stack import running_app
from samwire_tests.clients import own_client
from samwire_tests.conftest import eventually

TEMPLATE = Path(__file__).parents[1] / "fixtures" / "permissions" / "template.yaml"
ACCOUNT = "123456789012"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role"
ARN = "arn:aws:{}:us-east-1:" + ACCOUNT + ":{}"
KEY = {"id": {"S": "mine-1"}}


@dataclass
class Caller:
    """The running application."""

    info: dict[str, Any]
    log: Path

    def client(self, service: str) -> Any:
        """A boto3 client as a developer has one."""
        endpoint = "lambda_endpoint" if service == "lambda" else "aws_endpoint"
        return own_client(service, self.info, endpoint)

    def invoke(self, function: str, **event: Any) -> dict[str, Any]:
        """What a function returns."""
        answer = self.client("lambda").invoke(
            FunctionName=self.info["functions"][function], Payload=json.dumps(event)
        )
        found = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, found
        return dict(found)

    def call(self, function: str, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """What comes of a function's call of a service."""
        event = {"service": service, "operation": operation, "arguments": arguments}
        if service == "apigatewaymanagementapi":
            event["endpoint_url"] = self.info["management_url"]
        return self.invoke(function, **event)

    def environment(self, function: str, *names: str) -> dict[str, Any]:
        """Variables that a function sees."""
        return self.invoke(function, service="environment", names=names)

    def change(self, roles: object) -> None:
        """Replace what roles may do."""
        request = urllib.request.Request(
            self.info["lambda_endpoint"] + "/_local/permissions",
            json.dumps({"roles": roles}).encode(),
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with running_app(TEMPLATE, tmp_path_factory.mktemp("permissions")) as app:
        yield Caller(app.info, app.log)


TABLE = ARN.format("dynamodb", "table/local-Table")
QUEUE = ARN.format("sqs", "local-Jobs")
TOPIC = ARN.format("sns", "local-News")
CALLS: list[tuple[str, str, dict[str, Any], str, int, str, str]] = [
    (
        *("dynamodb", "put_item", {"TableName": "$TABLE", "Item": KEY}),
        *("AccessDeniedException", 400, "dynamodb:PutItem", TABLE),
    ),
    (
        *("s3", "put_object", {"Bucket": "$BUCKET", "Key": "a", "Body": "x"}),
        *("AccessDenied", 403, "s3:PutObject", '"arn:aws:s3:::local-bucket/a"'),
    ),
    (
        *("s3", "list_objects_v2", {"Bucket": "$BUCKET"}),
        *("AccessDenied", 403, "s3:ListBucket", '"arn:aws:s3:::local-bucket"'),
    ),
    (
        *("sqs", "send_message", {"QueueUrl": "$QUEUE_URL", "MessageBody": "x"}),
        *("AccessDenied", 403, "sqs:sendmessage", QUEUE),
    ),
    (
        *("sns", "publish", {"TopicArn": "$TOPIC", "Message": "x"}),
        *("AuthorizationError", 403, "SNS:Publish", TOPIC),
    ),
    (
        *("ssm", "get_parameter", {"Name": "$PARAMETER"}),
        *("AccessDeniedException", 400, "ssm:GetParameter"),
        ARN.format("ssm", "parameter/app/setting"),
    ),
    (
        *("secretsmanager", "get_secret_value", {"SecretId": "$SECRET"}),
        *("AccessDeniedException", 400, "secretsmanager:GetSecretValue", "$SECRET"),
    ),
    (
        *("lambda", "invoke", {"FunctionName": "$TARGET", "InvocationType": "DryRun"}),
        *("AccessDeniedException", 403, "lambda:InvokeFunction"),
        ARN.format("lambda", "function:local-Target"),
    ),
    (
        *("lambda", "invoke", {"FunctionName": "$TARGET_LIVE", "InvocationType": "DryRun"}),
        *("AccessDeniedException", 403, "lambda:InvokeFunction"),
        ARN.format("lambda", "function:local-Target:live"),
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "status", "action", "resource"),
    CALLS,
    ids=[f"{call[0]} {call[1]}" for call in CALLS],
)
def test_what_a_role_does_not_allow_is_refused_as_the_service_does_it(
    caller: Caller,
    service: str,
    operation: str,
    arguments: dict[str, Any],
    code: str,
    status: int,
    action: str,
    resource: str,
) -> None:
    if resource.startswith("$"):
        resource = caller.environment("Denied", resource[1:])[resource[1:]]
    sentence = (
        f"User: {SESSION}/local-DeniedRole/local-Denied is not authorized to perform: {action} "
        f"on resource: {resource} because no identity-based policy allows the {action} action"
    )
    found = caller.call("Denied", service, operation, **arguments)
    assert found == {"code": code, "message": sentence, "status": status}
    eventually(lambda: f"permissions | {sentence}" in caller.log.read_text())


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [call[:3] for call in CALLS],
    ids=[f"{call[0]} {call[1]}" for call in CALLS],
)
@pytest.mark.parametrize("function", ["Allowed", "Stranger"])
def test_what_a_role_allows_works_with_the_names_that_the_template_gives(
    caller: Caller, function: str, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    assert caller.call(function, service, operation, **arguments)["status"] in (200, 204)


def test_connections_are_refused_with_the_account_hidden(caller: Caller) -> None:
    found = caller.call(
        "Denied", "apigatewaymanagementapi", "get_connection", ConnectionId="L0SM9cOFvHcCIhw="
    )
    assert (found["code"], found["status"]) == ("AccessDeniedException", 403)
    assert "to perform: execute-api:ManageConnections on resource: " in found["message"]
    assert "arn:aws:execute-api:us-east-1:********9012:" in found["message"]
    assert "/dev/GET/@connections/{connectionId} because no identity" in found["message"]


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("post_to_connection", {"ConnectionId": "L0SM9cOFvHcCIhw=", "Data": "x"}, "GoneException"),
        ("delete_connection", {"ConnectionId": "L0SM9cOFvHcCIhw="}, "AccessDeniedException"),
    ],
)
def test_each_method_of_connections_needs_its_own_permission(
    caller: Caller, operation: str, arguments: dict[str, str], code: str
) -> None:
    found = caller.call("Allowed", "apigatewaymanagementapi", operation, **arguments)
    assert found["code"] == code


def test_every_function_has_credentials_of_its_own(caller: Caller) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    first, second = (caller.environment(name, *names) for name in ("Allowed", "Denied"))
    assert all(first[name] != second[name] for name in names)
    assert first["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert len(first["AWS_ACCESS_KEY_ID"]) == 20


def test_a_function_can_ask_who_it_is(caller: Caller) -> None:
    found = caller.call("Denied", "sts", "get_caller_identity")
    assert found == {"status": 200, "arn": f"{SESSION}/local-DeniedRole/local-Denied"}


def test_the_developer_may_do_everything(caller: Caller) -> None:
    caller.client("s3").put_object(Bucket="local-bucket", Key="mine", Body=b"x")
    assert caller.client("ssm").get_parameter(Name="/app/setting")["Parameter"]["Value"] == "on"


# --- what a role can have ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "reason"),
    [
        ("dynamodb", "get_item", {"TableName": "$TABLE", "Key": KEY}, ""),
        (
            *("dynamodb", "get_item", {"TableName": "$TABLE", "Key": {"id": {"S": "yours"}}}),
            "because no identity-based policy allows the dynamodb:GetItem action",
        ),
        (
            "dynamodb",
            "query",
            {
                "TableName": "$TABLE",
                "IndexName": "by-owner",
                "KeyConditionExpression": "#o = :o",
                "ExpressionAttributeNames": {"#o": "owner"},
                "ExpressionAttributeValues": {":o": {"S": "mine-too"}},
            },
            "",
        ),
        (
            "dynamodb",
            "query",
            {
                "TableName": "$TABLE",
                "IndexName": "by-owner",
                "KeyConditionExpression": "#o = :o",
                "ExpressionAttributeNames": {"#o": "owner"},
                "ExpressionAttributeValues": {":o": {"S": "yours"}},
            },
            "because no identity-based policy allows the dynamodb:Query action",
        ),
        ("s3", "put_object", {"Bucket": "$BUCKET", "Key": "public/a", "Body": "x"}, ""),
        (
            *("s3", "put_object", {"Bucket": "$BUCKET", "Key": "secret/a", "Body": "x"}),
            "with an explicit deny in an identity-based policy",
        ),
        ("sns", "publish", {"TopicArn": "$TOPIC", "Message": "x"}, ""),
        ("sqs", "receive_message", {"QueueUrl": "$QUEUE_URL"}, ""),
        (
            *("ssm", "get_parameter", {"Name": "$PARAMETER"}),
            "because no permissions boundary allows the ssm:GetParameter action",
        ),
    ],
    ids=[
        "condition holds",
        "condition does not hold",
        "condition on an index holds",
        "condition on an index does not hold",
        "managed policy of the template",
        "deny",
        "attached policy",
        "managed policy of AWS",
        "boundary",
    ],
)
def test_policies_of_every_kind_are_looked_at(
    caller: Caller, service: str, operation: str, arguments: dict[str, Any], reason: str
) -> None:
    found = caller.call("Scoped", service, operation, **arguments)
    if reason:
        assert found["message"].endswith(reason)
    else:
        assert found["status"] == 200


GROUP = {"logGroupName": "/own"}
NOT_ALLOWED = "because no identity-based policy allows the {} action"


@pytest.mark.parametrize(
    ("function", "service", "operation", "arguments", "reason"),
    [
        ("Denied", "logs", "create_log_group", GROUP, ""),
        ("Denied", "logs", "describe_log_groups", {}, NOT_ALLOWED.format("logs:DescribeLogGroups")),
        ("Scoped", "logs", "create_log_group", GROUP, NOT_ALLOWED.format("logs:CreateLogGroup")),
        (
            *("Denied", "xray", "put_trace_segments", {"TraceSegmentDocuments": []}),
            NOT_ALLOWED.format("xray:PutTraceSegments"),
        ),
    ],
    ids=["as SAM grants it", "more than SAM grants", "a role without it", "traces"],
)
def test_what_sam_grants_to_every_function_is_looked_at(
    caller: Caller,
    function: str,
    service: str,
    operation: str,
    arguments: dict[str, Any],
    reason: str,
) -> None:
    found = caller.call(function, service, operation, **arguments)
    if reason:
        assert found["message"].endswith(reason)
    else:
        assert found["status"] == 200


def test_who_may_not_list_a_bucket_is_not_told_what_is_missing(caller: Caller) -> None:
    missing = {"Bucket": "$BUCKET", "Key": "missing"}
    assert caller.call("Allowed", "s3", "get_object", **missing)["code"] == "NoSuchKey"
    caller.change(
        {
            "local-DeniedRole": {
                "policies": {
                    "read": {
                        "Statement": {
                            "Effect": "Allow",
                            "Action": "s3:GetObject",
                            "Resource": "arn:aws:s3:::local-bucket/*",
                        }
                    }
                }
            }
        }
    )
    try:
        found = caller.call("Denied", "s3", "get_object", **missing)
        assert found["code"] == "AccessDenied"
        assert "s3:ListBucket" in found["message"]
        assert caller.call("Denied", "s3", "head_object", **missing)["status"] == 403
    finally:
        caller.change({"local-DeniedRole": {"policies": {}}})
    assert caller.call("Denied", "s3", "head_object", **missing)["code"] == "403"


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"nobody": {"policies": {}}}, "The template has no role nobody."),
        ({"local-DeniedRole": {}}, "local-DeniedRole: a role must have policies"),
        ({"local-DeniedRole": {"policies": {"p": {}}}}, "must have a Statement"),
        ("no object", "roles must be an object"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(caller: Caller, roles: object, said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        caller.change(roles)
    assert refused.value.code == 400
    assert said in json.loads(refused.value.read())["message"]


# --- the template's resources -----------------------------------------------------------------


def test_what_is_published_reaches_the_queue(caller: Caller) -> None:
    caller.client("sqs").purge_queue(QueueUrl=caller.info["aws_endpoint"] + "/1/local-Jobs")
    assert (
        caller.call("Allowed", "sns", "publish", TopicArn="$TOPIC", Message="hi")["status"] == 200
    )
    found = caller.client("sqs").receive_message(
        QueueUrl=caller.environment("Allowed", "QUEUE_URL")["QUEUE_URL"]
    )
    assert json.loads(found["Messages"][0]["Body"])["Message"] == "hi"


def test_resources_are_as_the_template_says(caller: Caller) -> None:
    sqs, urls = caller.client("sqs"), caller.environment("Allowed", "QUEUE_URL", "ORDERED_URL")
    attributes = [
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in urls.values()
    ]
    assert attributes[0]["VisibilityTimeout"] == "45"
    assert json.loads(attributes[0]["RedrivePolicy"])["deadLetterTargetArn"].endswith(":local-Dead")
    assert attributes[1]["FifoQueue"] == "true"
    versioning = caller.client("s3").get_bucket_versioning(Bucket="local-bucket")
    assert versioning["Status"] == "Enabled"
    secret = caller.environment("Allowed", "SECRET")["SECRET"]
    found = caller.client("secretsmanager").get_secret_value(SecretId=secret)
    assert found["ARN"] == secret
    assert len(json.loads(found["SecretString"])["password"]) == 20


def test_what_is_not_as_on_aws_is_named_at_the_start(caller: Caller) -> None:
    assert [each for each in caller.info["notices"] if " run on python" not in each] == [
        "EncryptionKey: AWS::KMS::Key is not served here.",
        "JobsPolicy: AWS::SQS::QueuePolicy is not served here.",
        "JobsSource: AWS::Lambda::EventSourceMapping is not served here.",
        "ScopedRole: the managed policy arn:aws:iam::aws:policy/NoSuchPolicy is not known here; "
        "it grants nothing.",
        "News: subscriptions with the protocol email are not served here, only sqs.",
        "Stranger: its role arn:aws:iam::210987654321:role/elsewhere is not in the template; "
        "here it may do everything.",
    ]


# --- without permissions ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The application where nobody is refused."""
    with running_app(TEMPLATE, tmp_path_factory.mktemp("free"), "--no-iam") as app:
        yield Caller(app.info, app.log)


def test_without_iam_every_function_may_do_everything(free: Caller) -> None:
    found = free.call("Denied", "dynamodb", "put_item", TableName="$TABLE", Item=KEY)
    assert found["status"] == 200
    name = "AWS_ACCESS_KEY_ID"
    assert free.environment("Denied", name) == free.environment("Allowed", name)


OPEN = """
    Transform: AWS::Serverless-2016-10-31
    Resources:
      Listing:
        Type: AWS::Serverless::Function
        Properties:
          Runtime: python3.13
          Handler: index.handler
          Timeout: 20
          InlineCode: |
            import boto3
            def handler(event, context):
                found = boto3.client("s3").list_buckets()
                return {"status": found["ResponseMetadata"]["HTTPStatusCode"]}
    """


def test_another_dynamodb_goes_without_permissions_which_is_said(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(textwrap.dedent(OPEN))
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    elsewhere = ("--dynamodb-endpoint", f"http://{host}:{port}")
    with contextlib.ExitStack() as running:
        running.callback(server.stop)
        app = running.enter_context(running_app(template, tmp_path, *elsewhere))
        assert [notice for notice in app.info["notices"] if "ermissions" in notice] == [
            "Permissions are not checked: the functions share one access key for the DynamoDB "
            "that --dynamodb-endpoint names."
        ]
        assert Caller(app.info, app.log).invoke("Listing") == {"status": 200}


# --- links ------------------------------------------------------------------------------------


def status(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """What a page of another site is answered."""
    headers = {"Origin": "https://evil.test", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, body, headers, method="PUT" if body else "GET")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


@pytest.mark.parametrize("roles", ["caller", "free"])
def test_a_page_uses_a_link_that_a_function_has_signed(
    request: pytest.FixtureRequest, roles: str
) -> None:
    app: Caller = request.getfixturevalue(roles)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "BUCKET")
    key, secret, token, bucket = (app.environment("Allowed", *names)[name] for name in names)
    s3 = boto3.client(
        "s3",
        endpoint_url=app.info["aws_endpoint"],
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(signature_version="s3v4"),
    )
    params = {"Bucket": bucket, "Key": "a"}
    assert status(s3.generate_presigned_url("put_object", params), b"sound")[0] == 200
    url = s3.generate_presigned_url("get_object", params)
    assert status(url) == (200, b"sound")
    assert status(url[:-1] + "g")[0] == 403
    for path in (f"/{bucket}/a", f"/{bucket}", "/"):
        for query in ("X-Amz-Signature=1", "Signature=1"):
            url = f"{app.info['aws_endpoint']}{path}?{query}"
            assert (path, status(url)[0]) == (path, 403)
