"""Integrations that map, mocks, models, route throttling, and APIs beside each other."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from samwire_tests.app_stack import FIXTURES, RunningApp, running_app
from samwire_tests.own_key import own_key

TEMPLATE = FIXTURES / "mapping" / "template.yaml"
ERROR = "Internal server error"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(TEMPLATE, tmp_path_factory.mktemp("mapping")) as running:
        yield running


@pytest_asyncio.fixture
async def socket(app: RunningApp) -> AsyncIterator[ClientConnection]:
    async with connect(app.url("Api")) as connected:
        yield connected


async def ask(socket: ClientConnection, action: str, **more: Any) -> Any:
    """What the API answers, decoded."""
    await socket.send(json.dumps({"action": action, **more}))
    return json.loads(await asyncio.wait_for(socket.recv(), 20))


# --- requests -------------------------------------------------------------------------------


async def test_a_template_makes_the_event(socket: ClientConnection) -> None:
    items = [{"name": "a"}, {"name": "b", "n": 1.5}]
    answer = await ask(socket, "mirror", items=items, text="a b/ü")
    assert answer == {
        "event": {
            "stage": "dev",
            "colour": "green",
            "item": {"name": "b", "n": 1.5},
            "names": ["a", "b"],
            "encoded": "YSBiL8O8",
            "url": "a+b%2F%C3%BC",
            "big": True,
        }
    }


async def test_without_a_template_the_message_is_the_event(socket: ClientConnection) -> None:
    answer = await ask(socket, "plain", kind="other")
    assert answer == {"long": {"event": {"action": "plain", "kind": "other"}}}


@pytest.mark.parametrize("action", ["never", "unmatched", "faulty", "unanswered", "unmade"])
async def test_what_cannot_be_mapped_is_an_error(socket: ClientConnection, action: str) -> None:
    assert (await ask(socket, action))["message"] == ERROR


async def test_why_it_cannot_be_mapped_is_in_the_log(
    app: RunningApp, socket: ClientConnection
) -> None:
    await ask(socket, "faulty")
    assert "faulty: mapping template, line 1: $input…nosuch(): there is no such method here." in (
        app.log.read_text()
    )


def test_a_template_that_cannot_be_read_is_named_at_the_start(app: RunningApp) -> None:
    assert [notice for notice in app.info["notices"] if "mapping template" in notice] == [
        "Api: macro: the mapping template $default, line 2: "
        "#macro is not supported in mapping templates here."
    ]


async def test_a_template_is_chosen_by_the_message(socket: ClientConnection) -> None:
    assert await ask(socket, "unmatched", kind="known") == {"event": {"known": True}}


async def test_a_message_that_is_no_json_is_no_event(socket: ClientConnection) -> None:
    await socket.send("plain text")
    assert json.loads(await socket.recv())["message"] == "Forbidden", "there is no $default"


async def test_base64_becomes_what_it_stands_for(socket: ClientConnection) -> None:
    assert (await ask(socket, "binary"))["message"] == ERROR, "this is no base64"


async def test_a_stage_variable_may_name_the_function(socket: ClientConnection) -> None:
    assert (await ask(socket, "variable"))["context"]["routeKey"] == "variable"


# --- answers --------------------------------------------------------------------------------


async def test_an_answer_is_mapped_by_the_template_that_it_chooses(
    socket: ClientConnection,
) -> None:
    assert "long" in await ask(socket, "plain")


async def test_an_error_is_mapped_by_the_pattern_that_it_matches(
    socket: ClientConnection,
) -> None:
    answer = await ask(socket, "fails", fail="that is too small for us")
    assert answer == {"refused": "that is too small for us"}


async def test_an_error_without_a_pattern_is_mapped_as_the_rest(socket: ClientConnection) -> None:
    assert await ask(socket, "fails", fail="something else") == {"otherwise": True}


async def test_a_one_way_route_says_nothing_even_of_an_error(socket: ClientConnection) -> None:
    await socket.send(json.dumps({"action": "quiet", "fail": "unheard"}))
    assert "pong" in await ask(socket, "ping")


async def test_a_mock_answers_by_itself(app: RunningApp, socket: ClientConnection) -> None:
    assert re.fullmatch(r"[\w-]{15}=", (await ask(socket, "ping"))["pong"])
    # The event of an earlier one-way message may be printed late: only this one's must be missing.
    called_for = [event for event in app.printed("MIRROR") if re.search(r"\bping\b", str(event))]
    assert called_for == []


@pytest.mark.parametrize(
    ("returned", "frame"),
    [
        ({"statusCode": 500, "body": "in any case"}, "in any case"),
        ({"statusCode": 200}, ""),
        ({"body": ""}, ""),
        ("no object", ""),
    ],
    ids=str,
)
async def test_of_a_proxys_answer_only_the_body_counts(
    socket: ClientConnection, returned: Any, frame: str
) -> None:
    await socket.send(json.dumps({"action": "variable", "returned": returned}))
    assert await socket.recv() == frame


async def test_an_expression_alone_sends_nothing(app: RunningApp, socket: ClientConnection) -> None:
    await socket.send(json.dumps({"action": "expression"}))
    assert "pong" in await ask(socket, "ping")
    assert any("RouteResponseSelectionExpression alone" in n for n in app.info["notices"])


# --- models ---------------------------------------------------------------------------------


async def test_a_message_that_fits_its_model_goes_on(socket: ClientConnection) -> None:
    answer = await ask(socket, "checked", kind="person", name="Ann", age=1)
    assert answer["event"]["name"] == "Ann"


@pytest.mark.parametrize("wrong", [{}, {"name": 1}, {"name": "a", "age": 0}], ids=str)
async def test_a_message_that_does_not_is_a_bad_request(
    socket: ClientConnection, wrong: dict[str, Any]
) -> None:
    await socket.send(json.dumps({"action": "checked", "kind": "person", **wrong}))
    assert re.fullmatch(
        r'\{"message" : "Bad request body", "connectionId": "[\w-]{15}=", '
        r'"messageId": "[\w-]{15}="\}',
        str(await socket.recv()),
    )


async def test_other_messages_are_checked_by_the_default_model(socket: ClientConnection) -> None:
    assert "event" in await ask(socket, "checked", kind="stranger")


# --- handshakes -----------------------------------------------------------------------------


async def test_connect_without_proxy_succeeds_whatever_the_function_says(app: RunningApp) -> None:
    async with connect(app.url("Failing")) as connected:
        assert "context" in await ask(connected, "where")


@pytest.mark.parametrize(
    ("api", "status"), [("Unauthorised", 401), ("Unmade", 500), ("Missing", 500)]
)
async def test_a_connect_that_cannot_be_called_has_a_status(
    app: RunningApp, api: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url(api))
    assert refused.value.response.status_code == status


def own_management(app: RunningApp, api: str) -> Any:
    """A client of `@connections` with the stack's own key."""
    key = own_key(app.info)
    return app.management(api, key["aws_access_key_id"], key["aws_secret_access_key"])


def signed(url: str, secret: str, *, in_query: bool) -> tuple[str, dict[str, str]]:
    """The URL and headers of a handshake that is signed, as the SDK signs."""
    request = AWSRequest("GET", url.replace("ws://", "http://"))
    auth = SigV4QueryAuth if in_query else SigV4Auth
    auth(Credentials("local", secret), "execute-api", "us-east-1").add_auth(request)
    headers = {} if in_query else dict(request.headers.items())
    return str(request.url).replace("http://", "ws://"), headers


@pytest.mark.parametrize("in_query", [True, False], ids=["query", "header"])
async def test_a_connection_that_must_be_signed_is(changed: RunningApp, in_query: bool) -> None:
    secret = own_key(changed.info)["aws_secret_access_key"]
    url, headers = signed(changed.url("Signed") + "?b=1&a=x%20y", secret, in_query=in_query)
    async with connect(url, additional_headers=headers) as connected:
        assert (await connected.ping()) is not None
    url, headers = signed(changed.url("Signed"), "wrong", in_query=in_query)
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers=headers)
    assert refused.value.response.status_code == 403


async def test_a_signature_must_be_there(app: RunningApp) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url("Signed"))
    assert refused.value.response.status_code == 403
    url, _ = signed(app.url("Signed"), "whatever", in_query=True)
    async with connect(url) as connected:
        assert (await connected.ping()) is not None


# --- several APIs ---------------------------------------------------------------------------


async def test_apis_of_the_same_stage_name_have_addresses_of_their_own(app: RunningApp) -> None:
    urls = {name: app.url(name) for name in ("Api", "Failing", "Unauthorised")}
    assert len(set(urls.values())) == 3
    async with connect(urls["Failing"]) as connected:
        context = (await ask(connected, "where"))["context"]
        api = app.management("Failing")
        found = await asyncio.to_thread(api.get_connection, ConnectionId=context["connectionId"])
    assert f"wss://{context['domainName']}/dev" == app.info["apis"]["Failing"]["wss_url"]
    assert found["Identity"]["SourceIp"] == "127.0.0.1"


async def test_a_connection_of_another_api_is_gone(app: RunningApp) -> None:
    async with connect(app.url("Failing")) as connected:
        context = (await ask(connected, "where"))["context"]
        api = app.management("Api")
        with pytest.raises(api.exceptions.GoneException):
            await asyncio.to_thread(api.get_connection, ConnectionId=context["connectionId"])


# --- throttling -----------------------------------------------------------------------------


async def test_a_route_beyond_its_rate_is_told(socket: ClientConnection) -> None:
    answers = [await ask(socket, "scarce") for _ in range(3)]
    assert ["context" in answer for answer in answers] == [True, True, False]
    assert answers[2]["message"] == "Too Many Requests"
    assert "pong" in await ask(socket, "ping"), "other routes are not affected"


# --- what can be changed --------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    options = ["--assume-two-way", "--strict-frames", "--verify-signatures"]
    for setting in (
        *("delete-code=4000", "delete-reason=bye", "malformed-id-status=410", "compression"),
        *("binary-post=refuse", "throttle-message=slower"),
    ):
        options += ["--assume", setting]
    with running_app(TEMPLATE, tmp_path_factory.mktemp("changed"), *options) as running:
        yield running


async def test_an_expression_alone_may_be_assumed_to_reply(changed: RunningApp) -> None:
    async with connect(changed.url("Api")) as connected:
        assert "context" in await ask(connected, "expression")


@pytest.mark.parametrize("url", ["websocket_url", "wss_url"])
async def test_a_frame_of_32_kb_is_let_through_and_a_larger_one_closes(
    changed: RunningApp, url: str
) -> None:
    tls = ssl.create_default_context(cafile=changed.info["ca_bundle"]) if "wss" in url else None
    address = changed.info["apis"]["Api"][url]
    message = json.dumps({"action": "ping", "fill": ""})
    largest = json.dumps({"action": "ping", "fill": "x" * (32 * 1024 - len(message))})
    async with connect(address, compression=None, ssl=tls) as connected:
        await connected.send(largest)
        assert "pong" in str(await connected.recv())
        await connected.send([largest, "  "])
        assert "pong" in str(await connected.recv()), "in two frames it may be longer"
        await connected.send(largest + " ")
        await connected.wait_closed()
    assert connected.close_code == 1009


async def test_the_close_code_of_a_delete_may_be_assumed(changed: RunningApp) -> None:
    api = own_management(changed, "Failing")
    async with connect(changed.url("Failing")) as connected:
        mine = (await ask(connected, "where"))["context"]["connectionId"]
        await asyncio.to_thread(api.delete_connection, ConnectionId=mine)
        await connected.wait_closed()
    assert (connected.close_code, connected.close_reason) == (4000, "bye")


async def test_the_frame_about_throttling_may_be_assumed(changed: RunningApp) -> None:
    async with connect(changed.url("Api")) as connected:
        answers = [await ask(connected, "scarce") for _ in range(3)]
    assert answers[2]["message"] == "slower"


async def test_compression_may_be_assumed(changed: RunningApp) -> None:
    async with connect(changed.url("Api")) as connected:
        assert "permessage-deflate" in str(connected.response)
        assert "pong" in await ask(connected, "ping")


async def test_bytes_that_are_no_text_may_be_refused(changed: RunningApp) -> None:
    api = own_management(changed, "Failing")
    async with connect(changed.url("Failing")) as connected:
        mine = (await ask(connected, "where"))["context"]["connectionId"]
        with pytest.raises(api.exceptions.ClientError) as refused:
            await asyncio.to_thread(api.post_to_connection, ConnectionId=mine, Data=b"\xff")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("key", "secret", "message"),
    [
        ("local", "wrong", "The request signature we calculated does not match"),
        ("nobody", "local", "security token included in the request is invalid"),
    ],
)
def test_signatures_are_verified_when_asked_for(
    changed: RunningApp, key: str, secret: str, message: str
) -> None:
    api = changed.management("Api", key, secret)
    with pytest.raises(api.exceptions.ForbiddenException) as refused:
        api.get_connection(ConnectionId="PJqB0fHsqRcCHlw=")
    assert message in str(refused.value.response)


def test_what_is_rightly_signed_is_let_in(changed: RunningApp) -> None:
    api = own_management(changed, "Api")
    for connection_id in ("PJqB0fHsqRcCHlw=", "no id"):
        with pytest.raises(api.exceptions.GoneException):
            api.get_connection(ConnectionId=connection_id)
