"""Signatures as Standard Webhooks has them."""

from __future__ import annotations

import pytest

from parley.tools.signature import BadSecret, read_key, sign
from tests.unit.tool_calls import SECRET


def test_a_signature_is_that_of_the_reference_libraries_own_test() -> None:
    """The vector is in the tests of each of standard-webhooks' libraries."""
    signature = sign(
        read_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # some decode it, others take it as it is
        "whsec_c2hvcnQ=",
        "whsec_not base64, which a careless reader skips over",
        "whsec_" + 88 * "A" + "AAAA",  # 69 bytes
        "",
    ],
)
def test_a_secret_of_another_form_is_refused(secret: str) -> None:
    with pytest.raises(BadSecret, match="whsec_"):
        read_key(secret)
