"""The stand-ins and the stack that the end-to-end and the browser tests share, and speech.

They are here so that a test process that runs both kinds starts one of each.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from tests.directory_times import pytest_runtest_logreport, pytest_terminal_summary
from tests.e2e.stack import (
    PROVIDER_TIMEOUT_S,
    ROOT,
    Stack,
    Standins,
    running_stack,
    running_standins,
)
from tests.stack_scheduling import StackScheduling

# Nothing of what is imported and collected is garbage: to look for some takes a fifth of the time.
gc.disable()

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Spare workers the start of a stack that another one has."""
    return StackScheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage again, but only in what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standins]:
    """For every stack that need not have its own."""
    with running_standins(tmp_path_factory.mktemp("standins")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    with running_stack(
        tmp_path_factory.mktemp("stack"),
        parameters={
            "ProviderTimeoutSeconds": str(PROVIDER_TIMEOUT_S),
            # Tests count requests: on a busy machine a provider may be slow enough for a second.
            "HedgeAfterSeconds": "60",
            "ListenTimeoutSeconds": "3",
        },
        standins=standins,
        static=(str(ROOT / "web"), f"/client={ROOT / 'client' / 'js'}"),
    ) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The stack, with the stand-ins as they come: no faults, no records."""
    shared_stack.standins.reset()
    yield shared_stack
    shared_stack.standins.reset()


@pytest.fixture(scope="session")
def speech(standins: Standins) -> Callable[[str], bytes]:
    """Speech at 16 kHz, synthesised by the stand-in."""
    return cache(standins.speech)
