"""botocore's clients, for what few turns need: recordings in S3 and Lambda functions as tools.

botocore is imported with the first of them: it costs a cold start 0.1 s and 10 MB. What every turn
calls goes through `parley.aws.service`. The clients come from botocore, not from boto3: that adds
its transfer manager for S3 for nothing that is used here.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.session import Session
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

_making = threading.RLock()


@functools.cache
def botocore_session() -> Session:
    """Return the one session of all clients, which reads the services' definitions once."""
    from botocore.session import Session

    return Session()


def find_credentials() -> Credentials | None:
    """Return the function's own credentials; None if it has none."""
    with _making:
        return botocore_session().get_credentials()


def find_region() -> str:
    """Return the region that botocore finds, e.g. in a profile.

    Raises:
        NoRegionError: there is none.
    """
    from botocore.exceptions import NoRegionError

    with _making:
        region = botocore_session().get_config_variable("region")
    if not region:
        raise NoRegionError
    return str(region)


def find_endpoint(service: str) -> str:
    """Return the base URL that botocore calls a service at."""
    with _making:
        return str(botocore_session().create_client(service).meta.endpoint_url)


def _config(**options: Any) -> Config:
    from botocore.config import Config

    usual: dict[str, Any] = {
        "connect_timeout": 1,
        "tcp_keepalive": True,
        "parameter_validation": False,
        "max_pool_connections": 20,
    }
    return Config(**{**usual, **options})


def tool_lambda(timeout_s: float) -> LambdaClient:
    """Return a Lambda client for a tool. It may be asked for in any thread.

    Args:
        timeout_s: how long the tool may take. Its answer is read for a second longer.
    """
    # A function that runs may act: botocore would invoke it again after a read timeout.
    retries = {"mode": "standard", "total_max_attempts": 1}
    config = _config(read_timeout=timeout_s + 1, retries=retries)
    with _making:  # a session makes one client at a time
        return cast("LambdaClient", botocore_session().create_client("lambda", config=config))


def s3() -> S3Client:
    """Return an S3 client for recordings, with short time-outs: a recording must not delay a turn.

    It signs links with version 4, because S3 accepts no other for objects under a KMS key.
    """
    config = _config(
        signature_version="s3v4",
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    with _making:
        return cast("S3Client", botocore_session().create_client("s3", config=config))
