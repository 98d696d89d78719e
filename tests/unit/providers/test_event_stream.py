"""Server-sent events: read as the standard has them, however the network cuts their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.providers.replies.event_stream import (
    MAX_EVENT_BYTES,
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
)


def read(stream: bytes, cuts: list[int] | None = None) -> list[tuple[str, str]]:
    """The events of a stream that comes in pieces of these sizes."""
    parser, events, at = EventStreamParser(), list[ServerSentEvent](), 0
    for size in [*(cuts or []), len(stream)]:
        events += parser.feed(stream[at : at + size])
        at += size
    events += parser.close()
    return [(event.kind, event.data) for event in events]


STREAMS: list[tuple[str, bytes, list[tuple[str, str]]]] = [
    ("nothing", b"", []),
    ("one event", b"data: a\n\n", [("message", "a")]),
    ("without the space", b"data:a\n\n", [("message", "a")]),
    ("of two spaces the first is dropped", b"data:  a\n\n", [("message", " a")]),
    ("several lines", b"data: a\ndata:b\ndata\n\n", [("message", "a\nb\n")]),
    ("no data is no event", b"event: x\n\ndata:\n\n", []),
    ("comments", b": hello\ndata: a\n:\n\n: ping\n\n", [("message", "a")]),
    ("a kind", b"event: x\ndata: a\n\ndata: b\n\n", [("x", "a"), ("message", "b")]),
    ("a kind after its data", b"data: a\nevent:x\n\n", [("x", "a")]),
    ("other fields", b"id: 7\nretry: 10\nother: z\nDATA: no\ndata: a\n\n", [("message", "a")]),
    ("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
    ("only the first one", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a")]),
    ("a mark in the data", b"data: \xef\xbb\xbfa\n\n", [("message", "\ufeffa")]),
    ("an end of line of each kind", b"data: a\r\n\r\ndata: b\r\rdata: c\n\n",
     [("message", "a"), ("message", "b"), ("message", "c")]),
    ("mixed ends of lines", b"data: a\r\ndata: b\rdata: c\n\r\n", [("message", "a\nb\nc")]),
    ("what ends a line elsewhere", "data: a\u2028b\x85c\x0bd\n\n".encode(),
     [("message", "a\u2028b\x85c\x0bd")]),
    ("bytes that are no text", b"data: a\xffb\n\n", [("message", "a\ufffdb")]),
    ("a colon in the data", b"data: a: b\n\n", [("message", "a: b")]),
    ("no blank line at the end", b"data: a\n\ndata: b\n", [("message", "a"), ("message", "b")]),
    ("no end of line at the end", b"data: a\n\ndata: b", [("message", "a"), ("message", "b")]),
    ("llama.cpp's error", b"error: {}\n\n", [("error", "{}")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "events"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS]
)
def test_a_stream_is_read_as_the_standard_says(
    stream: bytes, events: list[tuple[str, str]]
) -> None:
    assert read(stream) == events
    assert read(stream, [1] * len(stream)) == events


PIECES = [
    b"data",
    b": ",
    b":",
    b"a",
    b"\n",
    b"\r",
    b"\xef\xbb\xbf",
    b"event",
    "é🙂".encode(),
    b"id",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.lists(st.integers(0, 5), max_size=40))
def test_it_does_not_matter_how_a_stream_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    assert read(stream, cuts) == read(stream)


@pytest.mark.parametrize("line", [b"x" * 1_000_000, b"data: " + b"x" * 1_000_000 + b"\n"])
def test_an_event_without_an_end_does_not_fill_the_memory(line: bytes) -> None:
    parser = EventStreamParser()
    with pytest.raises(EventTooLarge):  # noqa: PT012 - which of them is too much does not matter
        for _ in range(MAX_EVENT_BYTES // 1_000_000 + 2):
            assert list(parser.feed(line)) == []


def test_a_stream_can_be_taken_up_after_its_last_whole_event() -> None:
    parser = EventStreamParser()
    list(parser.feed(b"retry: 250\nid: 7\ndata:\n\nid: 8\ndata: cut off"))
    assert (parser.last_event_id, parser.retry_ms) == ("7", 250)


def test_a_stream_that_is_taken_up_goes_on_from_the_same_event() -> None:
    parser = EventStreamParser("7")
    list(parser.feed(b"retry: soon\ndata: a\n\n"))
    assert (parser.last_event_id, parser.retry_ms) == ("7", None)
