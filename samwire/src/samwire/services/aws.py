"""Starts moto's server and creates in it what a template's resources ask for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as SigningKey
from botocore.exceptions import BotoCoreError, ClientError

from samwire.faults.latency import LATENCY, Latency
from samwire.permissions.identities import Directory
from samwire.permissions.wsgi import CONTROL_PATH
from samwire.services.creation import create_resources
from samwire.services.db_path import DB_PATH
from samwire.services.own_key import OwnKey
from samwire.services.table_check import lacking
from samwire.template.intrinsics import URL_SUFFIX
from samwire.template.model import Stack

_START_TIMEOUT_S = 30
_STOP_TIMEOUT_S = 5


class ServicesError(Exception):
    """A service cannot be used; a sentence that says which and why."""


class AwsServices:
    """moto's server as a child process.

    Args:
        dynamodb_endpoint: another DynamoDB to use, e.g. DynamoDB Local; empty for moto's.
        log: told a sentence for every call that was not allowed.
        key: that calls of nobody's function are signed with; one of its own by default.
        latency: that is added to calls of DynamoDB.
        db_path: the folder of a file that keeps the tables; None for none.

    Attributes:
        db_notice: what there is to know of that file, in a sentence; empty for nothing.
    """

    def __init__(
        self,
        dynamodb_endpoint: str = "",
        log: Callable[[str], None] = lambda _line: None,
        key: OwnKey | None = None,
        latency: Latency | None = None,
        db_path: Path | None = None,
    ) -> None:
        self._dynamodb_endpoint = dynamodb_endpoint
        self._log = log
        self.key = key or OwnKey()
        self._latency = latency or Latency()
        self._db_path = db_path
        self.db_notice = ""
        self._listen_task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.endpoint = ""

    @property
    def dynamodb_endpoint(self) -> str:
        """Where DynamoDB is."""
        return self._dynamodb_endpoint or self.endpoint

    async def start(self) -> None:
        """Start the server.

        Raises:
            ServicesError: it does not start.
        """
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "samwire.services.moto_server", str(os.getpid())),
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
                **self.key.variables(),
                LATENCY: msgspec.json.encode(self._latency).decode(),
                **({DB_PATH: str(self._db_path)} if self._db_path else {}),
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for the stack alone
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ServicesError(f"moto's server did not start in {_START_TIMEOUT_S} s.") from None
        if not line:
            raise ServicesError("moto's server did not start; it says why above.")
        port, _, notice = line.decode().partition(" ")
        self.endpoint, self.db_notice = f"http://127.0.0.1:{int(port)}", notice.strip()
        self._listen_task = asyncio.create_task(self._listen(self._process.stdout))

    async def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                if self._db_path:  # it writes what is left
                    self._process.terminate()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
                self._process.kill()
            await self._process.wait()
        if self._listen_task is not None:
            await self._listen_task  # ends with the process

    async def permit(self, directory: Directory) -> None:
        """Allow its callers what their roles allow, from now on."""
        data = json.dumps(directory.as_json()).encode()
        request = AWSRequest("PUT", self.endpoint + CONTROL_PATH, data=data)
        own = SigningKey(self.key.credentials.access_key_id, self.key.secret)
        SigV4Auth(own, "local", "local").add_auth(request)
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.put(str(request.url), data=data, headers=dict(request.headers.items()))

    async def create(self, stack: Stack) -> None:
        """Create the stack's tables, secrets and other resources.

        Raises:
            ServicesError: DynamoDB cannot be reached, or refuses a definition.
        """
        try:
            await asyncio.to_thread(self._create, stack)
        except BotoCoreError as error:
            raise ServicesError(f"{error} (--dynamodb-endpoint says where it is.)") from None
        except ClientError as error:
            raise ServicesError(f"The template's resources: {error}") from None

    async def notices(self, region: str) -> list[str]:
        """Say in a sentence what a DynamoDB of the developer's own lacks; none if nothing.

        Raises:
            ServicesError: it cannot be reached, or makes no table.
        """
        if not self._dynamodb_endpoint:
            return [self.db_notice] if self.db_notice else []
        client = self._client("dynamodb", self.dynamodb_endpoint, region)
        try:
            missing = await asyncio.to_thread(lacking, client)
        except (BotoCoreError, ClientError) as error:
            raise ServicesError(f"{error} (--dynamodb-endpoint says where it is.)") from None
        if not missing:
            return []
        return [
            f"{self._dynamodb_endpoint} is not all of DynamoDB; it lacks: {'; '.join(missing)}. "
            "What needs that fails here and works on AWS; DynamoDB Local and moto have it."
        ]

    def variables(
        self, region: str, lambda_endpoint: str, gateway_endpoint: str, ca_bundle: str
    ) -> dict[str, str]:
        """Return environment variables that make every AWS SDK come here.

        Args:
            gateway_endpoint: without a stage: a management client that was not given one
                gets 403 on AWS, and must not succeed here.
        """
        return {
            **self.key.credentials.variables(),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_endpoint,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint,
            "AWS_ENDPOINT_URL_LAMBDA": lambda_endpoint,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": gateway_endpoint,
            "AWS_CA_BUNDLE": ca_bundle,
        }

    def local(self, text: str, region: str) -> str:
        """Return the text with the URLs of queues as they are here."""
        return text.replace(f"https://sqs.{region}.{URL_SUFFIX}/", f"{self.endpoint}/")

    async def _listen(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            self._log(line.decode(errors="replace").rstrip())

    def _create(self, stack: Stack) -> None:
        @functools.cache
        def client(service: str) -> Any:
            endpoint = self.dynamodb_endpoint if service == "dynamodb" else self.endpoint
            return self._client(service, endpoint, stack.region)

        create_resources(stack, client)

    def _client(self, service: str, endpoint: str, region: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=self.key.credentials.access_key_id,
            aws_secret_access_key=self.key.secret,
            config=Config(retries={"total_max_attempts": 2}),
        )
