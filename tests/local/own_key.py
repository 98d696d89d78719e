"""The key that a stack gives its developer, as the developer's tools read it."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from typing import Any

from local.services.own_key import PROFILE


def own_key(info: Mapping[str, Any]) -> dict[str, Any]:
    """What boto3's clients take, from the file that the stack names.

    Args:
        info: what `local start --json` says.
    """
    profile = configparser.ConfigParser()
    profile.read(info["aws_config_file"])
    found = profile[f"profile {PROFILE}"]
    return {name: found[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
