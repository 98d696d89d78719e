"""What the gateway decides without any socket: policies, buckets, frames, options, paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samwire.gateway.authorizers import decided
from samwire.gateway.frames import FrameMeter
from samwire.gateway.integrations import Answer, IntegrationFault, Integrations
from samwire.gateway.json_path import MISSING, at
from samwire.gateway.mapping import Source, mapped
from samwire.gateway.options import Assumptions, Limits, OptionError
from samwire.gateway.policies import allows
from samwire.gateway.selection import evaluated
from samwire.gateway.throttle import Throttle, TokenBucket
from samwire.runtime.call import Result
from samwire.runtime.environment import Surroundings
from samwire.runtime.service import LambdaService
from samwire.template.api_model import Integration, Rate

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/prod/$connect"
BASE = ARN.removesuffix("/prod/$connect")


# --- policies -------------------------------------------------------------------------------


def statement(effect: str, resource: Any, action: Any = "execute-api:Invoke") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([statement("Allow", ARN)], True),
        (statement("Allow", ARN), True),
        ([statement("Allow", "*")], True),
        ([statement("Allow", [f"{BASE}/other/*", f"{BASE}/prod/*"])], True),
        ([statement("Allow", f"{BASE}/prod/?connect")], True),
        ([statement("Allow", ARN, "execute-api:*")], True),
        ([statement("Allow", ARN, "EXECUTE-API:invoke")], True),
        ([statement("Allow", ARN, "*")], True),
        ([statement("Allow", f"{BASE}/prod/*/*")], False),
        ([statement("Allow", ARN, "execute-api:ManageConnections")], False),
        ([statement("Deny", ARN)], False),
        ([statement("Allow", "*"), statement("Deny", f"{BASE}/prod/*")], False),
        ([], False),
        ([{"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:s3:*"}], True),
        ([{"Effect": "Allow", "Action": "*", "NotResource": ARN}], False),
        ([{**statement("Allow", ARN), "Condition": {"Bool": {}}}], False),
        ([{"Effect": "Maybe", "Action": "*", "Resource": "*"}], None),
        ([{"Effect": "Allow", "Resource": "*"}], None),
        ("text", None),
        (None, None),
    ],
    ids=str,
)
def test_a_policy_allows_or_not(statements: Any, allowed: bool | None) -> None:
    assert allows({"Statement": statements}, "execute-api:Invoke", ARN) is allowed


def test_no_policy_is_no_policy() -> None:
    assert allows("no", "execute-api:Invoke", ARN) is None


def service_of_nothing() -> LambdaService:
    return LambdaService([], Surroundings({}, Path(), lambda _source, _line: None))


@pytest.mark.parametrize("body", ['{"a": 1}', "[1]", "1", "true"])
def test_a_proxys_reply_is_text_or_an_error(body: str) -> None:
    integrations, proxy = Integrations(service_of_nothing()), Integration("AWS_PROXY")
    with pytest.raises(IntegrationFault, match="no string"):
        integrations.reply(proxy, Answer(200, f'{{"body": {body}}}'), {})
    for given, sent in (('{"body": "x"}', "x"), ('{"body": null}', ""), ("{}", ""), ("1", "")):
        assert integrations.reply(proxy, Answer(200, given), {}) == sent


def test_an_authorizers_answer_may_have_8_kb() -> None:
    assert decided(Result(b" " * 8193, error=False), ARN, 1).status == 500


# --- throttling -----------------------------------------------------------------------------


def test_a_bucket_is_full_at_first_and_fills_up_again() -> None:
    bucket = TokenBucket(Rate(per_s=2, burst=3), now_s=10)
    assert [bucket.take(10) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.5), bucket.take(10.5)] == [True, False]
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]


def test_a_route_has_a_bucket_of_its_own_and_shares_the_accounts() -> None:
    throttle = Throttle(Limits(requests_per_s=0, burst=3), clock=lambda: 0)
    scarce = Rate(per_s=0, burst=1)
    assert [throttle.route("a", scarce) for _ in range(2)] == [True, False]
    assert throttle.route("b", scarce)
    assert [throttle.request(), throttle.request()] == [True, False]
    assert not throttle.route("c", None)


# --- frames ---------------------------------------------------------------------------------


def frame(payload: int) -> bytes:
    """A masked text frame of zeros."""
    if payload < 126:
        head = bytes([0x81, 0x80 | payload])
    elif payload < 65536:
        head = bytes([0x81, 0x80 | 126]) + payload.to_bytes(2)
    else:
        head = bytes([0x81, 0x80 | 127]) + payload.to_bytes(8)
    return head + bytes(4 + payload)


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 1_000_000])
def test_frames_are_measured_however_their_bytes_come(size: int) -> None:
    data = frame(5) + frame(200) + frame(0) + frame(70_000) + frame(3)
    meter = FrameMeter()
    found = [meter.largest(data[i : i + size]) for i in range(0, len(data), size)]
    assert max(found) == 70_000
    assert meter.largest(frame(9)) == 9


# --- paths and expressions ------------------------------------------------------------------

MESSAGE = {"a": {"b": [1, {"c d": None}]}, "l": [[1], [2]], "": 0}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", MESSAGE),
        ("", MESSAGE),
        ("$.a.b[0]", 1),
        ("a.b[-1]['c d']", None),
        ("$['a']['b'][0]", 1),
        ("l[*][0]", [1, 2]),
        ("$.l[*]", [[1], [2]]),
        ("a.b[2]", MISSING),
        ("a.nosuch", MISSING),
        ("a.b.c", MISSING),
        ("a..b", MISSING),
    ],
)
def test_a_path_leads_somewhere_or_nowhere(path: str, found: Any) -> None:
    assert at(MESSAGE, path) == found


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("$default", "$default"),
        ("\\$default", "$default"),
        ("${request.body.a.b[0]}-x", "1-x"),
        ("${integration.response.statuscode}", "200"),
        ("static", "static"),
    ],
)
def test_an_expression_gives_a_key(expression: str, key: str) -> None:
    assert evaluated(expression, MESSAGE, {"integration.response.statuscode": "200"}) == key


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'Event'", "Event"),
        ("route.request.body.a.b[0]", "1"),
        ("route.request.querystring.q", "2"),
        ("route.request.multivaluequerystring.q", "1,2"),
        ("route.request.header.x-MINE", "v"),
        ("context.identity.sourceIp", "1.2.3.4"),
        ("stageVariables.colour", "green"),
        ("stageVariables.nosuch", ""),
        ("route.request.header.nosuch", ""),
    ],
)
def test_a_mapping_expression_stands_for_text(expression: str, text: str) -> None:
    source = Source(
        body='{"a": {"b": [1]}}',
        context={"identity": {"sourceIp": "1.2.3.4"}},
        stage_variables={"colour": "green"},
        headers={"X-Mine": ["v"]},
        query={"q": ["1", "2"]},
    )
    assert mapped(expression, source) == text


# --- options --------------------------------------------------------------------------------


def test_assumptions_are_named_as_on_the_command_line() -> None:
    changed = Assumptions().changed(["two-way", "delete-code=4000", "lost_delay_s=0.5"])
    assert (changed.two_way, changed.delete_code, changed.lost_delay_s) == (True, 4000, 0.5)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("nosuch=1", "there is no 'nosuch'. There are: binary-post,"),
        ("two-way=maybe", "two-way: yes or no, not 'maybe'"),
        ("delete-code=x", "delete-code: a number, not 'x'"),
        ("delete-code=1006", "delete-code: 1000, 1001 or 3000 to 4999, not '1006'"),
        ("malformed-id-status=200", "malformed-id-status: 400 to 599, not '200'"),
        ("binary-post=keep", "binary-post: replace or refuse, not 'keep'"),
        ("lost-delay-s=-1", "lost-delay-s: not negative"),
    ],
)
def test_an_assumption_that_cannot_be_made_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(OptionError) as refused:
        Assumptions().changed([setting])
    assert sentence in str(refused.value)
