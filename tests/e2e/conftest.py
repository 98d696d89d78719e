"""The running stack that the end-to-end tests share, and speech to say to it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.records import Records
from tests.e2e.stack import ROOT, STANDIN_KEY, Stack, running_stack

PROVIDER_TIMEOUT_S = 3


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(
        folder,
        parameters={"ProviderTimeoutSeconds": str(PROVIDER_TIMEOUT_S), "ListenTimeoutSeconds": "3"},
        static=(str(ROOT / "web"), f"/client={ROOT / 'client' / 'js'}"),
    ) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The stack, with the stand-ins as they come: no faults, no records."""
    shared_stack.elevenlabs.reset()
    shared_stack.llm.reset()
    yield shared_stack
    shared_stack.elevenlabs.reset()
    shared_stack.llm.reset()


@pytest.fixture(scope="session")
def speech(shared_stack: Stack) -> Callable[[str], bytes]:
    """Speech at 16 kHz, synthesised by the stand-in."""
    spoken: dict[str, bytes] = {}

    def synthesise(text: str) -> bytes:
        if text not in spoken:
            request = urllib.request.Request(
                f"{shared_stack.elevenlabs.url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream"
                "?output_format=pcm_16000",
                data=json.dumps({"text": text}).encode(),
                headers={"xi-api-key": STANDIN_KEY, "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as response:
                spoken[text] = bytes(response.read())
        return spoken[text]

    return synthesise


@pytest.fixture
def artifacts() -> Path:
    """Where a run keeps what is worth looking at."""
    folder = ROOT / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def recording_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that records those who consent."""
    parameters = {"Recording": "consent", "ListenTimeoutSeconds": "3"}
    with running_stack(tmp_path_factory.mktemp("records"), parameters=parameters) as stack:
        yield stack


@pytest.fixture
def records(recording_stack: Stack) -> Iterator[Records]:
    """Its HTTP API, table and bucket, with the stand-ins as they come."""
    recording_stack.elevenlabs.reset()
    recording_stack.llm.reset()
    yield Records(recording_stack)
    recording_stack.elevenlabs.reset()
    recording_stack.llm.reset()
