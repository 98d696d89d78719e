"""A table as the template makes it, in moto in this process, and clients that reach it.

One botocore session serves them all: each new one reads the services' definitions again.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.session import Session
from moto import mock_aws  # before the session is made: moto answers no older ones

__all__ = ["SESSION", "client", "create_table", "mock_aws"]

REGION = "us-east-1"
SESSION = Session()
_BOTO3 = boto3.Session(botocore_session=SESSION)


def client(service: str, **more: Any) -> Any:
    """A client of a service, for use within `mock_aws`."""
    return _BOTO3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        **more,
    )


def create_table(dynamodb: Any) -> None:
    """Create the table, empty, as `table`."""
    names = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        KeySchema=[{"AttributeName": n, "KeyType": kind} for n, kind in names.items()],
    )
