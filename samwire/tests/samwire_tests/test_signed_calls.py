"""The AWS services of a stack answer who holds one of its keys, and nobody else."""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import Session

from samwire.permissions.wsgi import CONTROL_PATH
from samwire.services.own_key import ACCESS_KEY_ID, PROFILE
from samwire_tests.app_stack import FIXTURES, RunningApp, running_app
from samwire_tests.clients import client, own_client
from samwire_tests.own_key import own_key

TEMPLATE = FIXTURES / "permissions" / "template.yaml"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(TEMPLATE, tmp_path_factory.mktemp("signed")) as running:
        yield running


def client_of(app: RunningApp, service: str, key: str, secret: str) -> Any:
    return client(service, app.info["aws_endpoint"], key=key, secret=secret)


def mine(app: RunningApp, service: str) -> Any:
    return own_client(service, app.info, "aws_endpoint")


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("secretsmanager", "list_secrets", {}),
    ("dynamodb", "list_tables", {}),
    ("s3", "list_buckets", {}),
    ("s3", "head_bucket", {"Bucket": "local-bucket"}),
    ("sqs", "list_queues", {}),
    ("sns", "list_topics", {}),
    ("ssm", "describe_parameters", {}),
    ("sts", "get_caller_identity", {}),
    ("iam", "list_users", {}),
]


@pytest.mark.parametrize(("service", "call", "arguments"), CALLS)
def test_the_stacks_own_key_opens_every_service_and_no_other_does(
    app: RunningApp, service: str, call: str, arguments: dict[str, Any]
) -> None:
    getattr(mine(app, service), call)(**arguments)
    for key, secret in (("x", "x"), (ACCESS_KEY_ID, ACCESS_KEY_ID), ("AKIA", "x")):
        with pytest.raises(ClientError) as refused:
            getattr(client_of(app, service, key, secret), call)(**arguments)
        answer = refused.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
        if call != "head_bucket":  # which has no body
            assert answer["Error"]["Code"] in ("InvalidClientTokenId", "SignatureDoesNotMatch")
            assert app.info["aws_config_file"] in answer["Error"]["Message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/moto-api/"),
        ("GET", "/moto-api/data.json"),
        ("POST", "/moto-api/reset"),
        ("POST", "/moto-api/state-manager/set-transition"),
        ("GET", "/local-bucket"),
        ("GET", "/local-bucket?X-Amz-Signature=1"),
        ("PUT", CONTROL_PATH),
        ("PUT", "/_local/faults"),
        ("GET", "/_local/faults"),
        ("POST", "/?Action=ListQueues"),
    ],
)
def test_what_is_not_signed_is_not_answered(app: RunningApp, method: str, path: str) -> None:
    body = json.dumps({"sessions": {}, "roles": {}, "secrets": {"x": "x"}}).encode()
    request = urllib.request.Request(app.info["aws_endpoint"] + path, body, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize(
    ("service", "region", "target", "said"),
    [
        ("dynamodb", "us-east-1", "DynamoDB_20120810.ListTables", ""),
        ("dynamodb", "eu-south-2", "DynamoDB_20120810.ListTables", ""),
        ("dynamodb", "local", "DynamoDB_20120810.ListTables", "a valid region"),
        ("dynamodb", "mars-1", "DynamoDB_20120810.ListTables", "a valid region"),
        ("dynamodb", "x", "DynamoDB_20120810.ListTables", "a valid region"),
        ("s3", "us-east-1", "DynamoDB_20120810.ListTables", "correct service: 'dynamodb'"),
        ("lambda", "us-east-1", "DynamoDB_20120810.ListTables", "correct service: 'dynamodb'"),
        ("execute-api", "us-east-1", "secretsmanager.ListSecrets", "'secretsmanager'"),
        ("secretsmanager", "us-east-1", "secretsmanager.ListSecrets", ""),
        ("sqs", "us-east-1", "AmazonSSM.DescribeParameters", "correct service: 'ssm'"),
    ],
)
def test_a_signature_is_good_for_its_service_and_a_region(
    app: RunningApp, service: str, region: str, target: str, said: str
) -> None:
    key = own_key(app.info)
    kind = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    signed = AWSRequest("POST", app.info["aws_endpoint"] + "/", data=b"{}", headers=kind)
    credentials = Credentials(key["aws_access_key_id"], key["aws_secret_access_key"])
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(credentials, service, region).add_auth(signed)
    request = urllib.request.Request(
        str(signed.url), b"{}", dict(signed.headers.items()), method="POST"
    )
    if not said:
        assert urllib.request.urlopen(request, timeout=10).status == 200
        return
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    answer = json.load(refused.value)
    assert answer["__type"] == "SignatureDoesNotMatch"
    assert "Credential should be scoped to" in answer["message"]
    assert said in answer["message"]


def test_what_was_changed_since_it_was_signed_is_refused(app: RunningApp) -> None:
    events = mine(app, "dynamodb")

    def change(request: Any, **_more: Any) -> None:
        request.body = b'{"Limit": 2}'

    events.meta.events.register_last("before-send", change)
    try:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            events.list_tables(Limit=1)
    finally:
        events.meta.events.unregister("before-send", change)


def test_objects_of_every_kind_are_stored_and_read(app: RunningApp) -> None:
    s3 = mine(app, "s3")
    for key in ("a b+c@%41/é~.wav", "x=1&y", "plain", "~(a)!*'", "a//b", "日本"):
        s3.put_object(Bucket="local-bucket", Key=key, Body=key.encode(), Metadata={"a": "b  c"})
        assert s3.get_object(Bucket="local-bucket", Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket="local-bucket", Prefix="a b+", Delimiter="/")
    assert listed["KeyCount"] == 1
    link = s3.generate_presigned_url("get_object", {"Bucket": "local-bucket", "Key": "plain"})
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"plain"


def test_a_key_that_the_services_have_given_out_is_taken(app: RunningApp) -> None:
    sts, role = mine(app, "sts"), "arn:aws:iam::123456789012:role/r"
    given = sts.assume_role(RoleArn=role, RoleSessionName="session")
    key = given["Credentials"]
    assumed = client_of(app, "sqs", key["AccessKeyId"], key["SecretAccessKey"])
    assumed.list_queues()
    wrong = client_of(app, "sqs", key["AccessKeyId"], "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.list_queues()


def test_the_developers_tools_find_everything_by_the_profile(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(app.info["aws_config_file"])
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the real account")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the real account")
    session = boto3.Session(botocore_session=Session(profile=PROFILE))
    assert session.client("secretsmanager").list_secrets()["SecretList"]
    assert session.client("dynamodb").meta.endpoint_url == app.info["dynamodb_endpoint"]
    assert session.client("lambda").meta.endpoint_url == app.info["lambda_endpoint"]


def test_nobody_else_reads_the_key(app: RunningApp) -> None:
    file = Path(app.info["aws_config_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    secret = own_key(app.info)["aws_secret_access_key"]
    assert len(secret) >= 32
    assert secret not in json.dumps(app.info)
    with urllib.request.urlopen(app.info["inspector_url"] + "/stack.json", timeout=10) as answer:
        assert secret not in answer.read().decode()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert secret.encode() not in line.read_bytes()
        except OSError:
            continue


def test_every_stack_has_a_key_of_its_own(app: RunningApp, tmp_path: Path) -> None:
    with running_app(FIXTURES / "limits" / "template.yaml", tmp_path) as other:
        key = own_key(other.info)
    assert key["aws_secret_access_key"] != own_key(app.info)["aws_secret_access_key"]
