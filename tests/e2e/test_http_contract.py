"""The HTTP API answers as its OpenAPI document says, whatever it is asked."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import checks

from tests.e2e.http_api import url_of, wav
from tests.e2e.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(120)
EXAMPLES = 6
"""Of each operation: many of them run a turn, with everything that belongs to one."""

schemathesis.openapi.media_type("audio/pcm", st.binary(max_size=64))
schemathesis.openapi.media_type("audio/wav", st.binary(max_size=64).map(wav))
document = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml")
NOT_OURS = [
    checks.positive_data_acceptance,  # text may be white space, a session may be nobody's
    checks.unsupported_method,  # API Gateway answers with 404 what has no route
]


@document.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_answers_are_as_documented(case: schemathesis.Case[Any], shared_stack: Stack) -> None:
    case.call_and_validate(base_url=url_of(shared_stack), excluded_checks=NOT_OURS)
