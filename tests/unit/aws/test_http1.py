"""Answers of HTTP/1.1, however they are cut, compared with another author's parser."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.aws.http1 import MAX_HEAD_BYTES, Answer, AnswerParser, MalformedAnswer

WHOLE = {
    "with its length": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody",
    "empty": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "without a reason": b"HTTP/1.1 410 \r\nContent-Length:2\r\n\r\n{}",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nbod\r\n1;x=y\r\ny\r\n0\r\nTrailer: x\r\n\r\n",
    "after others": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "without a body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "that closes": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
}


def parsed(data: bytes, cuts: list[int]) -> Answer:
    """Our parser's answer; None is no answer before the last piece."""
    parser, found = AnswerParser(), None
    ends = sorted({cut for cut in cuts if 0 < cut < len(data)})
    for first, last in zip([0, *ends], [*ends, len(data)], strict=True):
        assert found is None
        found = parser.feed(data[first:last])
    assert found is not None
    return found


def parsed_by_h11(data: bytes) -> tuple[int, dict[str, str], bytes, bool]:
    """The other parser's."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head, body = None, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
    assert head is not None
    headers = {name.decode(): value.decode() for name, value in head.headers}
    return head.status_code, headers, body, connection.their_state is h11.DONE


@pytest.mark.parametrize("name", WHOLE)
@given(cuts=st.lists(st.integers(1, 130), max_size=8))
def test_an_answer_is_the_same_however_it_is_cut(name: str, cuts: list[int]) -> None:
    assert tuple(parsed(WHOLE[name], cuts)) == parsed_by_h11(WHOLE[name])


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"x" * (MAX_HEAD_BYTES + 1),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        AnswerParser().feed(data)


def test_a_connection_with_more_than_an_answer_carries_no_other() -> None:
    found = AnswerParser().feed(WHOLE["with its length"] + b"HTTP/1.1 200 OK\r\n")
    assert found is not None
    assert (found.body, found.reusable) == (b"body", False)


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    parser = AnswerParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\nbo") is None
    assert parser.feed(b"dy") is None
    assert parser.end() == Answer(200, {}, b"body", reusable=False)


@pytest.mark.parametrize("size", [1, 20, 60])
def test_a_connection_that_ends_early_gives_no_answer(size: int) -> None:
    parser = AnswerParser()
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nsome of it only"
    assert parser.feed(data[:size]) is None
    with pytest.raises(MalformedAnswer):
        parser.end()
