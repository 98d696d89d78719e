"""The key that a stack gives its developer, as the developer's tools read it."""

from __future__ import annotations

import configparser
import urllib.request
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from samwire.services.own_key import PROFILE


def signed_put(url: str, data: bytes, key: Mapping[str, Any]) -> urllib.request.Request:
    """A request that a key of the stack has signed.

    Args:
        key: as `own_key` returns it.
    """
    request = AWSRequest("PUT", url, data=data)
    credentials = Credentials(key["aws_access_key_id"], key["aws_secret_access_key"])
    SigV4Auth(credentials, "local", "local").add_auth(request)
    return urllib.request.Request(url, data, dict(request.headers.items()), method="PUT")


def own_key(info: Mapping[str, Any]) -> dict[str, Any]:
    """What boto3's clients take, from the file that the stack names.

    Args:
        info: what `samwire start --json` says.
    """
    profile = configparser.ConfigParser()
    profile.read(info["aws_config_file"])
    found = profile[f"profile {PROFILE}"]
    return {name: found[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
