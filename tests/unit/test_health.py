"""Whether a deployment works, and what is said of what does not."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from parley.health import VERSION, DeepHealth, Health, HealthCheck, NotWell, Probe, Probes
from parley.keys import Keys
from parley.table import Table


async def well() -> None:
    """A probe of what works."""


def checks(health: Health) -> dict[str, HealthCheck]:
    """What was found."""
    assert health.checks is not None
    return health.checks


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


async def test_all_is_well_if_everything_is() -> None:
    health = await DeepHealth({"a": well, "b": well}).look()
    assert health.status == "ok"
    assert {name: check.ok for name, check in checks(health).items()} == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (NotWell("It has a cold."), "It has a cold."),
        (OSError("sk-a-secret"), "It cannot be reached or read (OSError)."),
    ],
)
async def test_one_that_fails_is_named_and_the_others_are_looked_at(
    error: Exception, detail: str
) -> None:
    async def ill() -> None:
        raise error

    health = await DeepHealth({"a": ill, "b": well}).look()
    assert health.status == "failing"
    assert checks(health)["a"].detail == detail
    assert checks(health)["b"].ok


async def test_one_that_does_not_answer_is_not_waited_for() -> None:
    async def silent() -> None:
        await asyncio.Event().wait()

    health = await DeepHealth({"a": silent}, limit_s=0.01).look()
    assert checks(health)["a"].detail == "It did not answer within 0.01 s."


async def test_an_answer_is_kept_for_a_while() -> None:
    asked, now_s = [], [100.0]

    async def count() -> None:
        asked.append(1)

    health = DeepHealth({"a": count}, keep_s=10, now_s=lambda: now_s[0])
    first = await health.look()
    now_s[0] = 109.9
    assert await health.look() is first
    now_s[0] = 110.0
    await health.look()
    assert len(asked) == 2


class Secret:
    """The provider keys."""

    async def elevenlabs(self) -> str:
        return "speech-key"

    async def llm(self) -> str:
        return "llm-key"


def probes(status: int, body: dict[str, Any] | None = None) -> tuple[dict[str, Probe], list[Any]]:
    """Probes of providers that answer so, and what they were asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=body or {})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    table, keys = cast("Table", None), cast("Keys", Secret())
    return Probes(table, keys, client, "https://speech", "https://llm/v1/").all(), asked


async def test_providers_are_asked_with_their_keys() -> None:
    found, asked = probes(200)
    await found["elevenlabs"]()
    await found["llm"]()
    assert [str(r.url) for r in asked] == ["https://speech/v1/models", "https://llm/v1/models"]
    assert asked[0].headers["xi-api-key"] == "speech-key"
    assert asked[1].headers["authorization"] == "Bearer llm-key"


@pytest.mark.parametrize("name", ["elevenlabs", "llm"])
@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses the API key"), (403, "refuses"), (500, "HTTP 500")]
)
async def test_a_provider_that_refuses_is_not_well(name: str, status: int, said: str) -> None:
    found, _ = probes(status, {"detail": {"status": "invalid_api_key"}})
    with pytest.raises(NotWell, match=said):
        await found[name]()


async def test_a_key_that_may_not_list_models_is_known_all_the_same() -> None:
    found, _ = probes(401, {"detail": {"status": "missing_permissions"}})
    await found["elevenlabs"]()


async def test_an_llm_without_a_list_of_models_is_reached_all_the_same() -> None:
    found, _ = probes(404)
    await found["llm"]()
