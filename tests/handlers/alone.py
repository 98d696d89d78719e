"""Runs the functions that make no `Environment`, in a process whose output is all looked at.

    python -m tests.handlers.alone

The root logger is at DEBUG before a function is loaded, as Lambda has it where
`ApplicationLogLevel` says so.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from tests.handlers.loading import Context, create_secret, event, load
from tests.moto_table import client, create_table, mock_aws, moto_server
from tests.unit.tokens import SECRET, shared_token


def asked_for_health() -> dict[str, Any]:
    """A request with a token: both secrets are read."""
    found = {**event("http-health"), "queryStringParameters": {"deep": "1"}}
    token = shared_token({"sub": "ada", "exp": int(time.time()) + 60})
    found["headers"] = {**found["headers"], "authorization": f"Bearer {token}"}
    return found


def main() -> None:
    with mock_aws(), moto_server() as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        create_table(client("dynamodb"))
        manager = client("secretsmanager")
        create_secret(manager)
        manager.create_secret(Name="tokens", SecretString=SECRET)
        logging.basicConfig(level=logging.DEBUG)
        load("token").handler({"subject": "ada"}, Context())
        health = load("health")
        health.handler(asked_for_health(), Context())
        health.loop.close()


if __name__ == "__main__":
    main()
