"""What several end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.records import Records
from tests.e2e.stack import Stack, Standins, running_stack

PAGE = "https://app.example.com"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0e3b1c4a-1111-2222-3333-444455556666"


@pytest.fixture(scope="session")
def recording_stack(
    tmp_path_factory: pytest.TempPathFactory, standins: Standins
) -> Iterator[Stack]:
    """A stack that records those who consent, and has its user's own key."""
    parameters = {"Recording": "consent", "ListenTimeoutSeconds": "3", "KmsKeyArn": KMS_KEY}
    folder = tmp_path_factory.mktemp("records")
    with running_stack(folder, parameters=parameters, standins=standins) as stack:
        yield stack


@pytest.fixture(scope="session")
def secret_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    """A stack that shares a secret with its app's backend, and has made it."""
    parameters = {"AuthMode": "secret", "AllowedOrigins": f"{PAGE} , https://*.example.org"}
    folder = tmp_path_factory.mktemp("secret")
    with running_stack(folder, parameters=parameters, standins=standins) as stack:
        yield stack


@pytest.fixture
def records(recording_stack: Stack) -> Iterator[Records]:
    """Its HTTP API, table and bucket, with the stand-ins as they come."""
    recording_stack.standins.reset()
    yield Records(recording_stack)
    recording_stack.standins.reset()
