"""Asks for sessions over HTTP, and looks into the table and the bucket for what is left of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from typing import Any

import boto3

from samwire_tests.own_key import own_key
from tests.e2e.raw import RawClient
from tests.e2e.stack import Stack

LATE_S = 10.0
"""So long after an erasure a function that was under way may still be seen."""
STILL_S = 2.0
"""So long nothing is to be seen before it counts as gone for good."""


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, read."""
        return dict(json.loads(self.body))


class Records:
    """The HTTP API, the table and the bucket of a stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        (api,) = stack.info["http_apis"].values()
        self._url = str(api["http_url"])
        known = {
            "endpoint_url": stack.info["aws_endpoint"],
            "region_name": "us-east-1",
            **own_key(stack.info),
        }
        self._dynamodb = boto3.client("dynamodb", **known)
        self._s3 = boto3.client("s3", **known)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One request; `_` in the names of headers stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self._url + path, method=method, headers=named)
        return await asyncio.to_thread(_answered, request)

    async def of(self, client: RawClient, suffix: str = "", **headers: str) -> Answer:
        """The session of a client, with its token."""
        ready = client.ready
        return await self.ask(
            f"/sessions/{ready['session_id']}{suffix}",
            **{"X_Resume_Token": ready["resume_token"], **headers},
        )

    async def erase(self, ready: dict[str, Any]) -> Answer:
        """Erase a session; again for as long as it is said not to be done."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.ask(
                    f"/sessions/{ready['session_id']}",
                    "DELETE",
                    X_Resume_Token=ready["resume_token"],
                )
                if answer.status != 202:
                    return answer
                assert int(answer.headers["retry-after"]) > 0

    def everything(self) -> str:
        """The whole table, audio included, and the names of all objects of all buckets."""
        table = self.stack.info["tables"]["Table"]
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table)
        items = [item for page in pages for item in page["Items"]]
        return json.dumps([items, self.objects()], default=_readable)

    def objects(self) -> list[str]:
        """The names of all objects."""
        found: list[str] = []
        for bucket in self._s3.list_buckets()["Buckets"]:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
                found += [each["Key"] for each in page.get("Contents", [])]
        return found

    def traces(self, words: Iterable[str]) -> list[str]:
        """Which of some words are still somewhere."""
        everything = self.everything()
        return [word for word in words if word in everything]

    async def no_traces(self, words: Iterable[str]) -> None:
        """Nothing of a session is left, and nothing that came back stays.

        What a function that was under way has written since, it removes itself, within seconds:
        at the latest then, nothing is to be seen of it for as long as `STILL_S`.
        """
        looked_for = list(words)
        began = clean_since = time.monotonic()
        while (now := time.monotonic()) < clean_since + STILL_S:
            if left := self.traces(looked_for):
                assert now < began + LATE_S, (left, self.everything()[-3000:])
                clean_since = time.monotonic()
            await asyncio.sleep(STILL_S / 4)


def _readable(value: Any) -> str:
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
        return base64.b64encode(value).decode()
    return str(value)


def _answered(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
