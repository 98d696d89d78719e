"""Which permissions a call of a service needs, against the service authorization reference."""

from __future__ import annotations

from typing import Any

import pytest

from samwire.permissions.calls import messaging, s3, settings, telemetry
from samwire.permissions.calls.compute import invoke, manage_connections
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.calls.settings import secret_suffix
from samwire_tests.signed_calls import ACCOUNT, call, form_call, json_call, needed

# --- S3 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/", "", [("ListAllMyBuckets", "*")]),
        ("GET", "/b", "list-type=2&prefix=x", [("ListBucket", "b")]),
        ("HEAD", "/b", "", [("ListBucket", "b")]),
        ("GET", "/b", "versions", [("ListBucketVersions", "b")]),
        ("GET", "/b", "uploads", [("ListBucketMultipartUploads", "b")]),
        ("GET", "/b", "location", [("GetBucketLocation", "b")]),
        ("PUT", "/b", "versioning", [("PutBucketVersioning", "b")]),
        ("DELETE", "/b", "cors", [("PutBucketCORS", "b")]),
        ("DELETE", "/b", "policy", [("DeleteBucketPolicy", "b")]),
        ("PUT", "/b", "", [("CreateBucket", "b")]),
        ("DELETE", "/b", "", [("DeleteBucket", "b")]),
        ("GET", "/b/a/k", "", [("GetObject", "b/a/k")]),
        ("HEAD", "/b/k", "", [("GetObject", "b/k")]),
        ("GET", "/b/k", "versionId=1", [("GetObjectVersion", "b/k")]),
        ("PUT", "/b/k", "", [("PutObject", "b/k")]),
        ("DELETE", "/b/k", "", [("DeleteObject", "b/k")]),
        ("GET", "/b/k", "acl", [("GetObjectAcl", "b/k")]),
        ("PUT", "/b/k", "tagging", [("PutObjectTagging", "b/k")]),
        ("POST", "/b/k", "uploads", [("PutObject", "b/k")]),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", [("PutObject", "b/k")]),
        ("POST", "/b/k", "uploadId=u", [("PutObject", "b/k")]),
        ("DELETE", "/b/k", "uploadId=u", [("AbortMultipartUpload", "b/k")]),
        ("GET", "/b/k", "uploadId=u", [("ListMultipartUploadParts", "b/k")]),
        ("POST", "/b/k", "select&select-type=2", [("GetObject", "b/k")]),
    ],
)
def test_s3(method: str, path: str, query: str, expected: list[tuple[str, str]]) -> None:
    found = s3.accesses(call("s3", method, path, query))
    assert needed(found) == [
        (f"s3:{action}", name if name == "*" else f"arn:aws:s3:::{name}")
        for action, name in expected
    ]


def test_s3_buckets_can_be_named_by_the_host() -> None:
    made = call("s3", "GET", "/a/k", host="b.s3.us-east-1.amazonaws.com")
    assert needed(s3.accesses(made)) == [("s3:GetObject", "arn:aws:s3:::b/a/k")]


def test_copying_needs_the_source_and_an_acl_its_own_permission() -> None:
    source = "/from/a%20b?versionId=7"
    made = call("s3", "PUT", "/b/k", x_amz_copy_source=source, x_amz_acl="private")
    assert needed(s3.accesses(made)) == [
        ("s3:PutObject", "arn:aws:s3:::b/k"),
        ("s3:PutObjectAcl", "arn:aws:s3:::b/k"),
        ("s3:GetObjectVersion", "arn:aws:s3:::from/a b"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'<Delete xmlns="x"><Object><Key>a</Key></Object>'
            b"<Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>",
            [("s3:DeleteObject", "bucket/a"), ("s3:DeleteObjectVersion", "bucket/b")],
        ),
        (b"no xml", [("s3:DeleteObject", "bucket/*")]),
    ],
)
def test_deleting_many_objects_needs_each(body: bytes, expected: list[tuple[str, str]]) -> None:
    found = s3.accesses(call("s3", "POST", "/bucket", "delete", body))
    assert needed(found) == [(action, f"arn:aws:s3:::{name}") for action, name in expected]


def test_listing_a_bucket_tells_its_prefix() -> None:
    made = call("s3", "GET", "/b", "list-type=2&prefix=home%2F&delimiter=%2F")
    keys = s3.accesses(made)[0].keys()
    assert keys == {"s3:prefix": ("home/",), "s3:delimiter": ("/",)}


# --- SQS and SNS ------------------------------------------------------------------------------

QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"

TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:news"

URL = f"http://127.0.0.1:5000/{ACCOUNT}/jobs"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (json_call("sqs", "SendMessage", QueueUrl=URL), ("sqs:SendMessage", QUEUE)),
        (json_call("sqs", "SendMessageBatch", QueueUrl=URL), ("sqs:SendMessage", QUEUE)),
        (json_call("sqs", "GetQueueUrl", QueueName="jobs"), ("sqs:GetQueueUrl", QUEUE)),
        (form_call("sqs", Action="ReceiveMessage", QueueUrl=URL), ("sqs:ReceiveMessage", QUEUE)),
        (json_call("sqs", "ListQueues"), ("sqs:ListQueues", QUEUE.replace("jobs", "*"))),
    ],
)
def test_sqs(made: HttpCall, expected: tuple[str, str]) -> None:
    assert needed(messaging.sqs(made)) == [expected]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"Action": "Publish", "TopicArn": TOPIC}, ("sns:Publish", TOPIC)),
        ({"Action": "Publish", "TargetArn": TOPIC}, ("sns:Publish", TOPIC)),
        ({"Action": "Publish", "PhoneNumber": "+358401"}, ("sns:Publish", "+358401")),
        ({"Action": "PublishBatch", "TopicArn": TOPIC}, ("sns:Publish", TOPIC)),
        ({"Action": "CreateTopic", "Name": "news"}, ("sns:CreateTopic", TOPIC)),
        ({"Action": "Unsubscribe", "SubscriptionArn": f"{TOPIC}:1"}, ("sns:Unsubscribe", TOPIC)),
        ({"Action": "ListTopics"}, ("sns:ListTopics", TOPIC.replace("news", "*"))),
    ],
)
def test_sns(members: dict[str, str], expected: tuple[str, str]) -> None:
    assert needed(messaging.sns(form_call("sns", **members))) == [expected]


# --- Secrets Manager and SSM ------------------------------------------------------------------

BARE = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:prod/keys"

SECRET = f"{BARE}-{secret_suffix('prod/keys')}"


@pytest.mark.parametrize("name", ["prod/keys", BARE, SECRET])
def test_a_secret_is_its_whole_arn_however_it_is_named(name: str) -> None:
    made = json_call("secretsmanager", "GetSecretValue", SecretId=name)
    assert needed(settings.secrets_manager(made)) == [("secretsmanager:GetSecretValue", SECRET)]


def test_a_batch_of_secrets_needs_each() -> None:
    made = json_call("secretsmanager", "BatchGetSecretValue", SecretIdList=["prod/keys"])
    assert needed(settings.secrets_manager(made)) == [
        ("secretsmanager:BatchGetSecretValue", "*"),
        ("secretsmanager:GetSecretValue", SECRET),
    ]


@pytest.mark.parametrize(
    ("operation", "members", "names"),
    [
        ("GetParameter", {"Name": "/app/key"}, ["parameter/app/key"]),
        ("GetParameter", {"Name": "key:3"}, ["parameter/key"]),
        ("GetParameters", {"Names": ["/a", "b"]}, ["parameter/a", "parameter/b"]),
        ("GetParametersByPath", {"Path": "/app/"}, ["parameter/app/"]),
        (
            "AddTagsToResource",
            {"ResourceType": "Parameter", "ResourceId": "/a"},
            ["parameter/a"],
        ),
        ("DescribeParameters", {}, ["*"]),
        ("SendCommand", {"DocumentName": "x"}, ["*"]),
    ],
)
def test_ssm(operation: str, members: dict[str, Any], names: list[str]) -> None:
    found = settings.parameters(json_call("ssm", operation, **members))
    arns = [f"arn:aws:ssm:eu-west-1:{ACCOUNT}:{name}" for name in names]
    assert needed(found) == [(f"ssm:{operation}", arn) for arn in arns]


# --- Lambda and API Gateway -------------------------------------------------------------------

FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:worker"


@pytest.mark.parametrize(
    ("function", "qualifier", "resource"),
    [
        ("worker", "", FUNCTION),
        ("worker:live", "", f"{FUNCTION}:live"),
        ("worker", "live", f"{FUNCTION}:live"),
        (FUNCTION, "", FUNCTION),
        (f"{FUNCTION}:live", "", f"{FUNCTION}:live"),
        (f"{ACCOUNT}:function:worker", "1", f"{FUNCTION}:1"),
    ],
)
def test_invoking_a_function(function: str, qualifier: str, resource: str) -> None:
    found = invoke(call("lambda"), function, qualifier)
    assert (found.action, found.resource) == ("lambda:InvokeFunction", resource)


def test_using_connections_names_the_method_and_no_connection() -> None:
    found = manage_connections(call("execute-api", "DELETE"), "abc", "dev")
    assert (found.action, found.resource) == (
        "execute-api:ManageConnections",
        f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:abc/dev/DELETE/@connections/{{connectionId}}",
    )


# --- who calls --------------------------------------------------------------------------------


def test_the_caller_is_named_by_the_signature_or_by_a_presigned_url() -> None:
    presigned = "X-Amz-Credential=AKIAEXAMPLE%2F20300101%2Feu-west-1%2Fs3%2Faws4_request"
    unsigned = call("s3", "GET", "/b/k", presigned, authorization="")
    for made in (call("s3"), unsigned):
        assert made.scope == ("AKIAEXAMPLE", "eu-west-1", "s3")
    assert call("s3", authorization="").scope == ("", "", "")


# --- logs and traces --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "members", "resource"),
    [
        ("CreateLogGroup", {"logGroupName": "/g"}, "log-group:/g"),
        ("CreateLogStream", {"logGroupName": "/g", "logStreamName": "s"}, "log-group:/g"),
        (
            "PutLogEvents",
            {"logGroupName": "/g", "logStreamName": "s"},
            "log-group:/g:log-stream:s",
        ),
        (
            "FilterLogEvents",
            {"logGroupIdentifier": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/g:*"},
            "log-group:/g",
        ),
        ("DescribeLogGroups", {}, "log-group:*"),
    ],
)
def test_logs(operation: str, members: dict[str, Any], resource: str) -> None:
    found = telemetry.logs(json_call("logs", operation, **members))
    assert needed(found) == [(f"logs:{operation}", f"arn:aws:logs:eu-west-1:{ACCOUNT}:{resource}")]


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/TraceSegments", "PutTraceSegments"), ("/SamplingTargets", "GetSamplingTargets")],
)
def test_xray(path: str, operation: str) -> None:
    assert needed(telemetry.xray(call("xray", "POST", path, ""))) == [(f"xray:{operation}", "*")]
