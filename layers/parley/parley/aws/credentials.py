"""Credentials and endpoints, as botocore finds them.

Where Lambda gives both in the environment, botocore is not imported for it: that takes 0.1 s of a
cold start. Whatever is less usual is left to botocore: containers' credentials, profiles and
files, the newest partitions, FIPS and dual-stack endpoints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from parley.aws.failures import NoCredentials
from parley.aws.signature import Credentials

_REGION_NAMES = ("AWS_DEFAULT_REGION", "AWS_REGION")
_SUFFIXES = (
    (re.compile(r"(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+"), "amazonaws.com"),
    (re.compile(r"us-gov-[a-z]+-\d+"), "amazonaws.com"),
    (re.compile(r"cn-[a-z]+-\d+"), "amazonaws.com.cn"),
)
"""DNS suffixes of the regions of the partitions that are open to everybody, and of GovCloud."""
_UNUSUAL = (
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_ACCOUNT_ID",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)
"""Variables by which botocore chooses another endpoint than the region's usual one."""


def credential_source(variables: Mapping[str, str] = os.environ) -> Callable[[], Credentials]:
    """Return what gives the credentials of each call.

    The source raises `NoCredentials` where there are none.
    """
    access_key = variables.get("AWS_ACCESS_KEY_ID", "")
    secret_key = variables.get("AWS_SECRET_ACCESS_KEY", "")
    if access_key and secret_key and "AWS_CREDENTIAL_EXPIRATION" not in variables:
        # Lambda's are good for as long as the environment lives.
        found = Credentials(access_key, secret_key, variables.get("AWS_SESSION_TOKEN", ""))
        return lambda: found
    return _from_botocore


def _from_botocore() -> Credentials:
    from botocore.exceptions import BotoCoreError

    from parley.aws.clients import find_credentials

    try:
        found = find_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except BotoCoreError as error:
        raise NoCredentials(type(error).__name__) from None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise NoCredentials
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


def find_region(variables: Mapping[str, str] = os.environ) -> str:
    """Return the region of the calls."""
    for name in _REGION_NAMES:
        if variables.get(name):
            return variables[name]
    from parley.aws.clients import find_region as ask

    return ask()


def find_endpoint(service: str, region: str, variables: Mapping[str, str] = os.environ) -> str:
    """Return the base URL of a service, without a slash at its end.

    Args:
        service: as botocore names it: `dynamodb`, `secretsmanager` or `lambda`.
    """
    if variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        own = f"AWS_ENDPOINT_URL_{_SERVICE_IDS[service]}"
        for name in (own, "AWS_ENDPOINT_URL"):
            if variables.get(name):
                return variables[name].rstrip("/")
    if not any(name in variables for name in _UNUSUAL):
        for regions, suffix in _SUFFIXES:
            if regions.fullmatch(region):
                return f"https://{service}.{region}.{suffix}"
    from parley.aws.clients import find_endpoint as ask

    return ask(service).rstrip("/")


_SERVICE_IDS = {
    "dynamodb": "DYNAMODB",
    "secretsmanager": "SECRETS_MANAGER",
    "lambda": "LAMBDA",
}
"""What the services are called in the names of variables."""
