"""Makes AWS clients: typed, from one botocore session.

botocore alone, because importing boto3 brings its transfer manager for S3 along and
costs every cold start about 0.15 s for nothing that is used here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import Session

from parley.aws.log_redaction import keep_quiet

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

keep_quiet()  # every function has clients, and imports this before its handler is decorated

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
"""Posts are in order: whether and when one is tried again is for who posts to decide."""
PROBING_CONFIG = AWS_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
)
"""Whether a service answers is to be known soon, and not after several tries."""
HANDSHAKE_CONFIG = PROBING_CONFIG.merge(Config(retries={"total_max_attempts": 2}))
"""Somebody waits for the secret, which is mostly known already."""


def dynamodb(config: Config = AWS_CONFIG) -> DynamoDBClient:
    """A DynamoDB client."""
    return cast("DynamoDBClient", _session.create_client("dynamodb", config=config))


def lambda_() -> LambdaClient:
    """A Lambda client."""
    return cast("LambdaClient", _session.create_client("lambda", config=AWS_CONFIG))


def secrets_manager(config: Config = AWS_CONFIG) -> SecretsManagerClient:
    """A Secrets Manager client."""
    return cast("SecretsManagerClient", _session.create_client("secretsmanager", config=config))


def s3() -> S3Client:
    """An S3 client, for recordings, which must not keep a turn from its end. Its links are
    signed with version 4: S3 takes no other for what it has encrypted with a key of KMS."""
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
    """A client of the `@connections` API at `endpoint`."""
    return cast(
        "ApiGatewayManagementApiClient",
        _session.create_client(
            "apigatewaymanagementapi", endpoint_url=endpoint, config=POSTING_CONFIG
        ),
    )
