"""A deployment under the user's own KMS key holds conversations like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.raw import opened
from tests.e2e.stack import running_stack

pytestmark = pytest.mark.timeout(120)

KEY = "arn:aws:kms:us-east-1:123456789012:key/0e3b1c4a-1111-2222-3333-444455556666"


async def test_a_conversation_is_held_under_the_users_own_key(tmp_path: Path) -> None:
    with running_stack(tmp_path, parameters={"KmsKeyArn": KEY}) as stack:
        async with opened(stack.url) as client:
            assert (await client.say("Good morning.")).end["reason"] == "completed"
        assert "is not authorized" not in stack.logs()
