"""The secret of the tools, of one run: a file of the developer's, in the emulator's store.

    TOOL_SECRETS=secrets.json make run

A deployment has the ARN of a secret (`ToolSecretsArn`). Here the store begins empty with each run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.session

from dev.errors import CannotRun
from samwire.permissions.calls.settings import secret_suffix
from samwire.services.own_key import PROFILE
from samwire.template.intrinsics import ACCOUNT_ID

VARIABLE = "TOOL_SECRETS"
NAME = "tools"
ARN = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT_ID}:secret:{NAME}-{secret_suffix(NAME)}"


def read_tool_secrets(environment: Mapping[str, str]) -> str:
    """Return what the file holds that the variable names; empty if there is no variable.

    Raises:
        CannotRun: it is no file with a JSON object of texts.
    """
    name = environment.get(VARIABLE, "")
    if not name:
        return ""
    try:
        text = Path(name).expanduser().read_text()
        found = json.loads(text)
    except OSError as error:
        raise CannotRun(f"{VARIABLE}: {name} cannot be read: {error.strerror}.") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        wanted = 'a JSON object such as {"name": "whsec_…"}'
        raise CannotRun(f"{VARIABLE}: {name}: expected {wanted}.")
    return text


def store_tool_secrets(text: str, stack: Mapping[str, Any]) -> None:
    """Put them where the functions read them.

    Args:
        stack: what the emulator said when it was ready.
    """
    session = botocore.session.Session(profile=PROFILE)
    session.set_config_variable("config_file", stack["aws_config_file"])
    client = boto3.Session(botocore_session=session).client("secretsmanager")
    client.create_secret(Name=NAME, SecretString=text)
