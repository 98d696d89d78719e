"""AWS on this machine, and a small stack that all of it can make.

The stack has the parameters of Parley's template: what is asked for is the same. Parley's own
resources are of kinds that moto's CloudFormation does not make.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3

from samwire.template.loader import load_template

# moto's CloudFormation imports all that it can make, which takes seconds: only when it is used.
if TYPE_CHECKING:
    from moto.cloudformation.models import ChangeSet

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
REGION = "eu-west-1"
BUCKET = "code-of-parley"
RESOURCES: dict[str, Any] = {
    "Table": {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        },
    },
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    },
    "TurnFunction": {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Code": "function",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        },
    },
}
WITHOUT_CODE = {name: RESOURCES[name] for name in ("Table", "Role")}
OUTPUTS = {
    "WebSocketUrl": {"Value": "wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/dev"},
    "TableName": {"Value": {"Ref": "Table"}},
}


class _Health(BaseHTTPRequestHandler):
    """Answers as a deployment does whose providers take its keys."""

    def do_GET(self) -> None:
        checks = {name: {"ok": True, "ms": 1.0} for name in ("table", "secret", "responder")}
        body = json.dumps({"status": "ok", "version": "1", "checks": checks}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@functools.cache
def deployed_url() -> str:
    """Where a deployment's HTTP API answers, for as long as this process runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def small_template(folder: Path, **changed: Any) -> Path:
    """A template and its code in a folder, as `sam build` would leave them."""
    (folder / "function").mkdir(exist_ok=True)
    (folder / "function" / "app.py").write_text("def handler(event, context): ...\n")
    content = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Parley: a small one.",
        "Parameters": load_template(ROOT / "template.yaml")["Parameters"],
        "Resources": RESOURCES,
        "Outputs": {**OUTPUTS, "HttpUrl": {"Value": deployed_url()}},
        **changed,
    }
    path = folder / "template.yaml"
    path.write_text(json.dumps(content))
    return path


@dataclass(frozen=True, slots=True)
class Aws:
    """Services that programs reach through their environment."""

    endpoint: str

    def client(self, service: str) -> Any:
        """A client of one of them."""
        return boto3.client(  # type: ignore[call-overload]  # the stubs want a literal
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def environment(self, home: Path) -> dict[str, str]:
        """Variables for whoever has credentials, and nothing else of this machine's."""
        return {
            **nobody(home),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": REGION,
        }

    def stacks(self) -> dict[str, str]:
        """The status of every stack that is there."""
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {each["StackName"]: each["StackStatus"] for each in found}

    def reset(self) -> None:
        """Leave nothing but a bucket for code."""
        urllib.request.urlopen(f"{self.endpoint}/moto-api/reset", b"").close()
        where = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)

    def create(self, template: Path, **parameters: str) -> None:
        """Make Parley's stack of a template that needs no code, as a deployment leaves it."""
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        self.client("cloudformation").create_stack(
            StackName="parley", TemplateBody=template.read_text(), Parameters=given
        )

    def parameters(self, stack: str = "parley") -> dict[str, str]:
        """What a stack has been given, secrets too, which CloudFormation tells nobody."""
        from moto.cloudformation.models import cloudformation_backends

        (backend,) = (
            each for each in cloudformation_backends["123456789012"].values() if each.stacks
        )
        (found,) = (each for each in backend.stacks.values() if each.name == stack)
        return dict(found.parameters)


def nobody(home: Path) -> dict[str, str]:
    """Variables of somebody without AWS credentials."""
    (home / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }


def _apply(prepared: ChangeSet) -> None:
    """Leave the stack as CloudFormation does.

    moto 5.2 makes the resources alone: the stack gets no outputs, no description and none of
    its new parameters.
    """
    stack = prepared.stack
    stack.resource_map.update(prepared.template_dict, prepared.parameters)
    stack.template_dict = prepared.template_dict
    stack.description = prepared.template_dict.get("Description")
    stack.parameters = prepared.parameters
    stack.output_map = stack._create_output_map()


@contextmanager
def running_aws() -> Iterator[Aws]:
    """moto, to be reset before it is used."""
    from moto.cloudformation.models import ChangeSet
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    aws = Aws(f"http://localhost:{port}")
    try:
        with patch.object(ChangeSet, "apply", _apply):
            yield aws
    finally:
        server.stop()


def deploy(*arguments: str) -> list[str | Path]:
    """The command that `make deploy` runs."""
    return [sys.executable, "-m", "deploy", *arguments]
