"""A table as the template makes it, in moto in this process, and clients that reach it.

One botocore session serves them all: each new one reads the services' definitions again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.session import Session
from moto import mock_aws  # before the session is made: moto answers no older ones
from moto.server import ThreadedMotoServer

from parley.aws.failures import ServiceError

__all__ = ["ACCOUNT", "SESSION", "client", "create_table", "mock_aws", "moto_server"]

REGION = "us-east-1"
ACCOUNT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
"""What a function has, to call `moto_server`."""
SESSION = Session()
_BOTO3 = boto3.Session(botocore_session=SESSION)


def client(service: str, **more: Any) -> Any:
    """A client of a service, for use within `mock_aws`. DynamoDB's fails as Parley's own does."""
    found = _BOTO3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        **more,
    )
    return _Calls(found) if service == "dynamodb" else found


class _Calls:
    """A client of botocore whose operations raise what those of `parley.aws.dynamodb` do."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*arguments: Any, **request: Any) -> Any:
            try:
                return found(*arguments, **request)
            except ClientError as error:
                raise ServiceError(error.response, error.operation_name) from None

        return call


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """A server of moto's in this process, with what `mock_aws` has; its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def create_table(dynamodb: Any) -> None:
    """Create the table, empty, as `table`."""
    names = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        KeySchema=[{"AttributeName": n, "KeyType": kind} for n, kind in names.items()],
    )
