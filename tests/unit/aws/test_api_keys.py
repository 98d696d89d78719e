"""The deployment's keys: one call reads them for all who ask at the same time."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from parley.aws import api_keys
from parley.aws.api_keys import ApiKeys
from tests.unit.fakes import until


class Secrets:
    """Secrets Manager, which answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.asked += 1
        assert self.may_answer.wait(30)
        keys = {"one": "1", "session_key": "k", "by_hand": " sk-1\n", "nothing": None}
        return {"SecretString": json.dumps(keys)}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    found = Secrets()
    monkeypatch.setattr(api_keys, "SecretsManager", lambda _rules: found)
    return found


async def test_one_call_serves_all_who_ask_at_the_same_time(secrets: Secrets) -> None:
    keys = ApiKeys("arn:of:the:secret")
    reads = [asyncio.create_task(keys.read(name)) for name in ("one", "session_key", "none")]
    await until(lambda: secrets.asked)
    secrets.may_answer.set()
    assert await asyncio.gather(*reads) == ["1", "k", ""]
    assert secrets.asked == 1


async def test_a_key_that_was_written_by_hand_has_no_line_break(secrets: Secrets) -> None:
    secrets.may_answer.set()
    keys = ApiKeys("arn:of:the:secret")
    assert [await keys.read(name) for name in ("by_hand", "nothing")] == ["sk-1", ""]


@pytest.mark.parametrize(("max_age_s", "asked"), [(300, 1), (0, 2)], ids=["new", "old"])
async def test_keys_are_read_again_when_they_are_old(
    secrets: Secrets, max_age_s: int, asked: int
) -> None:
    secrets.may_answer.set()
    keys = ApiKeys("arn:of:the:secret", max_age_s)
    assert [await keys.read("one") for _ in range(2)] == ["1", "1"]
    assert secrets.asked == asked
