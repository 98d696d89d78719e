"""Typed AWS clients, all from one botocore session.

The clients come from botocore, not from boto3: importing boto3 adds its transfer manager for S3,
and costs every cold start about 0.15 s for nothing that is used here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import Session

from parley.aws.log_redaction import keep_quiet

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

keep_quiet()  # every function imports this module, and does so before it decorates its handler

_session = Session()

AWS_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    tcp_keepalive=True,
    parameter_validation=False,
    max_pool_connections=20,
)
POSTING_CONFIG = AWS_CONFIG.merge(Config(retries={"total_max_attempts": 1}))
"""Posts are in order, so the caller decides whether and when to retry."""
PROBING_CONFIG = AWS_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
)
"""A health check needs an answer soon, not after several retries."""
HANDSHAKE_CONFIG = PROBING_CONFIG.merge(Config(retries={"total_max_attempts": 2}))
"""A client waits in its handshake for the secret, which is usually kept already."""
TOOL_CONFIG = AWS_CONFIG.merge(Config(connect_timeout=1, retries={"total_max_attempts": 1}))
"""A function that runs may act: botocore would invoke it again after a read timeout."""
_making = threading.Lock()


def find_credentials() -> Credentials | None:
    """Return the function's own credentials; None if it has none."""
    return _session.get_credentials()


def dynamodb(config: Config = AWS_CONFIG) -> DynamoDBClient:
    """Return a DynamoDB client."""
    return cast("DynamoDBClient", _session.create_client("dynamodb", config=config))


def lambda_() -> LambdaClient:
    """Return a Lambda client."""
    return cast("LambdaClient", _session.create_client("lambda", config=AWS_CONFIG))


def tool_lambda(timeout_s: float) -> LambdaClient:
    """Return a Lambda client for a tool. It may be asked for in any thread.

    Args:
        timeout_s: how long the tool may take. Its answer is read for a second longer.
    """
    config = TOOL_CONFIG.merge(Config(read_timeout=timeout_s + 1))
    with _making:  # a session makes one client at a time
        return cast("LambdaClient", _session.create_client("lambda", config=config))


def secrets_manager(config: Config = AWS_CONFIG) -> SecretsManagerClient:
    """Return a Secrets Manager client."""
    return cast("SecretsManagerClient", _session.create_client("secretsmanager", config=config))


def s3() -> S3Client:
    """Return an S3 client for recordings, with short time-outs: a recording must not delay a turn.

    It signs links with version 4, because S3 accepts no other for objects under a KMS key.
    """
    config = AWS_CONFIG.merge(
        Config(
            signature_version="s3v4",
            connect_timeout=1,
            read_timeout=3,
            retries={"total_max_attempts": 2},
        )
    )
    return cast("S3Client", _session.create_client("s3", config=config))


def management_api(endpoint: str) -> ApiGatewayManagementApiClient:
    """Return a client of the `@connections` API at `endpoint`."""
    return cast(
        "ApiGatewayManagementApiClient",
        _session.create_client(
            "apigatewaymanagementapi", endpoint_url=endpoint, config=POSTING_CONFIG
        ),
    )
