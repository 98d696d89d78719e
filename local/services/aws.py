"""Starts moto's server and creates in it what a template's resources ask for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.template.model import Stack

_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "local",
}
_START_TIMEOUT_S = 30


class ServicesError(Exception):
    """A service cannot be used; a sentence that says which and why."""


class AwsServices:
    """moto's server as a child process.

    Args:
        dynamodb_endpoint: another DynamoDB to use, e.g. DynamoDB Local; empty for moto's.
    """

    def __init__(self, dynamodb_endpoint: str = "") -> None:
        self._dynamodb_endpoint = dynamodb_endpoint
        self._process: asyncio.subprocess.Process | None = None
        self.endpoint = ""

    @property
    def dynamodb_endpoint(self) -> str:
        """Where DynamoDB is."""
        return self._dynamodb_endpoint or self.endpoint

    async def start(self) -> None:
        """Start the server."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.services.moto_server", str(os.getpid())),
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for the stack alone
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_TIMEOUT_S):
            line = await self._process.stdout.readline()
        if not line:
            raise ServicesError("moto's server did not start; it says why above.")
        self.endpoint = f"http://127.0.0.1:{int(line)}"

    async def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def create(self, stack: Stack) -> None:
        """Create the stack's tables and secrets.

        Raises:
            ServicesError: DynamoDB cannot be reached, or refuses a definition.
        """
        try:
            await asyncio.to_thread(self._create, stack)
        except BotoCoreError as error:
            raise ServicesError(f"{error} (--dynamodb-endpoint says where it is.)") from None
        except ClientError as error:
            raise ServicesError(f"The template's tables and secrets: {error}") from None

    def variables(
        self, region: str, lambda_endpoint: str, gateway_endpoint: str, ca_bundle: str
    ) -> dict[str, str]:
        """Environment variables that make every AWS SDK come here.

        Args:
            gateway_endpoint: without a stage: a management client that was not given one
                gets 403 on AWS, and must not succeed here.
        """
        return {
            **_CREDENTIALS,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_endpoint,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint,
            "AWS_ENDPOINT_URL_LAMBDA": lambda_endpoint,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": gateway_endpoint,
            "AWS_CA_BUNDLE": ca_bundle,
        }

    def _create(self, stack: Stack) -> None:
        dynamodb = self._client("dynamodb", self.dynamodb_endpoint, stack.region)
        for table in stack.tables:
            with contextlib.suppress(dynamodb.exceptions.ResourceInUseException):
                dynamodb.create_table(TableName=table.name, **table.definition)
            if table.ttl_attribute:
                with contextlib.suppress(dynamodb.exceptions.ClientError):
                    dynamodb.update_time_to_live(
                        TableName=table.name,
                        TimeToLiveSpecification={
                            "AttributeName": table.ttl_attribute,
                            "Enabled": True,
                        },
                    )
        manager = self._client("secretsmanager", self.endpoint, stack.region)
        for secret in stack.secrets:
            value = {} if secret.value is None else {"SecretString": secret.value}
            manager.create_secret(Name=secret.name, **value)

    def _client(self, service: str, endpoint: str, region: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 2}),
        )
