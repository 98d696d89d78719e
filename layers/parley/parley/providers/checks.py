"""Whether a provider works in the stage that it serves, for `GET /health?deep=1`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx

from parley.errors import ProviderError
from parley.providers.diagnosis import Diagnosis

CHECK_LIMIT_S = 3.0
"""How long a check may take."""


class Unhealthy(Exception):
    """A check has failed. The message says what is wrong, and what to look at."""


Check = Callable[[], Awaitable[str | None]]
"""Checks one thing. Returns what is worth to know although it works; empty or None for nothing.

Raises:
    Unhealthy: it does not work.
"""


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """The check of one provider in one stage.

    Attributes:
        keys: names in the deployment's secret without which it cannot work.
    """

    check: Check
    keys: tuple[str, ...] = ()


def make_unhealthy(error: ProviderError) -> Unhealthy:
    """Make the failure of a check from a provider's error."""
    return Unhealthy(error.cause.advice)


async def get_answer(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    diagnosis: Diagnosis,
    method: str = "GET",
) -> httpx.Response:
    """Get a provider's answer, whatever its status.

    Raises:
        Unhealthy: it does not answer.
    """
    try:
        return await client.request(method, url, headers=dict(headers))
    except httpx.TimeoutException:
        raise make_unhealthy(diagnosis.make_error("timeout", "timeout")) from None
    except httpx.ConnectError as error:
        raise make_unhealthy(diagnosis.diagnose_exception(error)) from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise make_unhealthy(diagnosis.make_error("invalid_url", "refused")) from None
    except httpx.HTTPError:
        raise make_unhealthy(diagnosis.make_error("connection_lost", "unavailable")) from None


def require_success(answer: httpx.Response, diagnosis: Diagnosis) -> None:
    """Accept an answer only if it is a success.

    Raises:
        Unhealthy: the status says that the provider refuses or fails.
    """
    if answer.status_code >= 300:
        raise make_unhealthy(
            diagnosis.diagnose_status(answer.status_code, answer.headers, answer.content)
        )
