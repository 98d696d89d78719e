"""What n8n answers, as the plain object reads it, however the network cuts it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.providers.n8n.answer import MAX_BYTES, WorkflowAnswer
from parley.providers.n8n.bad_answer import BadAnswer

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


def line(kind: str, content: Any = None, node: str = "agent", run: int = 0) -> str:
    """A line of a streamed answer."""
    chunk: dict[str, Any] = {"type": kind}
    if content is not None:
        chunk["content"] = content
    chunk["metadata"] = {"nodeId": node, "nodeName": node, "itemIndex": 0, "runIndex": run}
    return json.dumps(chunk, ensure_ascii=False) + "\n"


def run_of(*pieces: str, node: str = "agent", run: int = 0) -> str:
    """One run of a node that streams."""
    items = (line("item", piece, node, run) for piece in pieces)
    return "".join([line("begin", node=node, run=run), *items, line("end", node=node, run=run)])


def read(
    body: str | bytes, kind: str = JSON, cuts: Sequence[int] = (), *, has_length: bool = False
) -> list[str]:
    """The pieces of a reply.

    Args:
        cuts: where the network cuts the answer.
    """
    whole = body.encode() if isinstance(body, str) else body
    answer = WorkflowAnswer(kind, has_length=has_length)
    pieces: list[str] = []
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    for start, end in itertools.pairwise(ends):
        pieces += answer.feed(whole[start:end])
    return [*pieces, *answer.close()]


def said(body: str | bytes, kind: str = JSON, cuts: Sequence[int] = ()) -> str:
    """The reply."""
    return "".join(read(body, kind, cuts))


def heard(body: str, cuts: Sequence[int]) -> list[str] | str:
    """The pieces of a reply, or why there is none."""
    try:
        return read(body, cuts=cuts)
    except BadAnswer as bad:
        return bad.reason


def refused(
    body: str | bytes, kind: str = JSON, *, has_length: bool = False
) -> tuple[BadAnswer, str]:
    """Why an answer is none, and what was said before that was known."""
    whole = body.encode() if isinstance(body, str) else body
    answer = WorkflowAnswer(kind, has_length=has_length)
    pieces: list[str] = []
    with pytest.raises(BadAnswer) as raised:  # noqa: PT012 - what came before counts
        for part in (answer.feed(whole), answer.close()):
            for piece in part:
                pieces.append(piece)
    return raised.value, "".join(pieces)


KEEPALIVE = '{"type":"keepalive"}\n'
STREAMS = {
    "pieces": (run_of("Hel", "lo."), "Hello."),
    "no end": (line("begin") + line("item", "Hello."), "Hello."),
    "no end of line": ((line("begin") + line("item", "Hello.")).rstrip(), "Hello."),
    "no begin": (line("item", "Hello."), "Hello."),
    "no metadata": ('{"type":"item","content":"Hello."}\n', "Hello."),
    "two rounds": (
        run_of("Let me look.") + run_of("It is noon.", run=1),
        "Let me look. It is noon.",
    ),
    "two rounds of one run": (run_of("Let me look.") + run_of("Noon."), "Let me look. Noon."),
    "a round that begins without an end before it": (
        line("begin") + line("item", "Wait.") + run_of("Noon."),
        "Wait. Noon.",
    ),
    "a round without words": (run_of("Wait.") + run_of() + run_of("Noon."), "Wait. Noon."),
    "rounds with a space": (run_of("Wait. ") + run_of("Noon."), "Wait. Noon."),
    "a round that says the same": (run_of("Yes.") + run_of("Yes."), "Yes. Yes."),
    "said again by the Respond node": (
        run_of("It is ", "noon.") + run_of('{"output":"It is noon."}', node="respond"),
        "It is noon.",
    ),
    "rounds said again by the Respond node": (
        run_of("Wait.") + run_of("Noon.") + run_of("Wait. Noon.", node="respond"),
        "Wait. Noon.",
    ),
    "the last round said again": (
        run_of("Wait.") + run_of("Noon.") + run_of("Noon.", node="respond"),
        "Wait. Noon.",
    ),
    "said again in pieces": (
        run_of("It is noon.") + run_of("It is", "\n noon.", node="respond"),
        "It is noon.",
    ),
    "another node that begins the same": (
        run_of("It is noon.") + run_of("It is", " late.", node="other"),
        "It is noon. It is late.",
    ),
    "another node that says less": (
        run_of("It is noon.") + run_of("It is", node="other"),
        "It is noon. It is",
    ),
    "the Respond node alone": (run_of('{"output":"Hello."}', node="respond"), "Hello."),
    "all items of the Respond node": (
        run_of('[{"output":"One."},{"output":"Two."}]', node="respond"),
        "One. Two.",
    ),
    "brackets that are text": (run_of("[1]", " and ", "{2}"), "[1] and {2}"),
    "a sub-agent": (
        line("begin")
        + run_of("I searched.", node="sub")
        + line("item", "It is noon.")
        + line("end"),
        "It is noon.",
    ),
    "a sub-agent amid the words": (
        line("begin")
        + line("item", "It is ")
        + run_of("I searched.", node="sub")
        + line("item", "noon.")
        + line("end"),
        "It is noon.",
    ),
    "a sub-agent alone": (line("begin") + run_of("Noon.", node="sub") + line("end"), "Noon."),
    "a sub-agent that does not say where it begins": (
        line("begin") + line("item", "I searched.", "sub") + line("item", "Noon.") + line("end"),
        "Noon.",
    ),
    "a sub-agent alone, without an end": (
        line("begin") + line("begin", node="sub") + line("item", "Noon.", "sub"),
        "Noon.",
    ),
    "another node that says less, without an end": (
        run_of("It is noon.") + line("begin", node="other") + line("item", "It is", "other"),
        "It is noon. It is",
    ),
    "what might become a thought": (run_of("<think"), "<think"),
    "a line that is no JSON": (line("begin") + "Hello.\n" + line("end"), "Hello.\n"),
    "a first line that is no JSON": ("Hello.\n" + run_of("Noon."), "Hello.\nNoon."),
    "a line of noise": (line("begin") + '{"type":"it\n' + line("item", "Hello."), "Hello."),
    "blank lines": ("\r\n\n" + line("begin") + "\n  \n" + line("item", "Hello."), "Hello."),
    "signs of life": (KEEPALIVE + line("begin") + KEEPALIVE + line("item", "Hello."), "Hello."),
    "a kind that nobody knows": (line("begin") + line("news", "x") + line("item", "Hi."), "Hi."),
    "a failure that the workflow goes on after": (
        line("begin") + line("error") + run_of("Hello.", run=1),
        "Hello.",
    ),
    "content that is no text": (line("begin") + line("item", {"output": "Hello."}), "Hello."),
    "a thought": (run_of("<think>", "Hm.", "</think>\n\n", "Hello."), "Hello."),
    "a byte order mark": ("\ufeff" + run_of("Hello."), "Hello."),
}


@pytest.mark.parametrize(("body", "reply"), STREAMS.values(), ids=STREAMS)
def test_lines_are_a_reply(body: str, reply: str) -> None:
    assert said(body) == reply
    assert said(body, HTML if not body.startswith("Hello") else JSON) == reply


@pytest.mark.parametrize("body", [body for body, _ in STREAMS.values()], ids=STREAMS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_stream_does_not_depend_on_how_the_network_cuts_it(body: str, size: int) -> None:
    assert said(body, cuts=range(0, len(body.encode()), size)) == said(body)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.text(min_size=1, max_size=12), max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_words_come_through_any_cuts(rounds: list[list[str]], cuts: list[int]) -> None:
    body = "".join(run_of(*pieces, run=run) for run, pieces in enumerate(rounds))
    assert heard(body, cuts) == heard(body, [])


def test_words_come_as_soon_as_their_line_is_there() -> None:
    answer = WorkflowAnswer(JSON, has_length=False)
    assert list(answer.feed(line("begin").encode())) == []
    assert list(answer.feed(line("item", "Hel").encode())) == ["Hel"]
    half = line("item", "lö").encode()
    cut = half.index("ö".encode()) + 1
    assert list(answer.feed(half[:cut])) == []
    assert list(answer.feed(half[cut:])) == ["lö"]


WHOLE: dict[str, tuple[Any, str]] = {
    "an agent's": ({"output": "Hello."}, "Hello."),
    "all items": ([{"output": "Hello."}], "Hello."),
    "several items": ([{"text": "One."}, {"text": "Two."}], "One. Two."),
    "text": ({"text": "Hello."}, "Hello."),
    "response": ({"response": "Hello."}, "Hello."),
    "message": ({"message": "Hello."}, "Hello."),
    "answer": ({"answer": "Hello."}, "Hello."),
    "reply": ({"reply": "Hello."}, "Hello."),
    "content": ({"content": "Hello."}, "Hello."),
    "the likeliest first": ({"content": "No.", "output": "Hello."}, "Hello."),
    "an empty one last": ({"output": "", "text": "Hello."}, "Hello."),
    "wrapped": ({"data": {"output": "Hello."}}, "Hello."),
    "an item": ({"json": {"output": "Hello."}}, "Hello."),
    "put into a field": ({"data": [{"output": "Hello."}]}, "Hello."),
    "a structured output": ({"output": {"answer": "Hello.", "mood": "calm"}}, "Hello."),
    "of the OpenAI node": ({"index": 0, "message": {"role": "assistant", "content": "Hi."}}, "Hi."),
    "of its newer one": (
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi."}]}]},
        "Hi.",
    ),
    "the only text": ({"greeting": "Hello.", "sessionId": "s", "count": 3}, "Hello."),
    "a number": ({"output": 4.5}, "4.5"),
    "a string": ("Hello.", "Hello."),
    "a thought": ({"output": "<think>Hm.</think>Hello."}, "Hello."),
    "what goes with an error": ({"error": "x", "output": "Hello."}, "Hello."),
    "an object with a type": ({"type": "reply", "text": "Hello."}, "Hello."),
}


@pytest.mark.parametrize("kind", [[], {}, [None], 1, None])
def test_an_author_s_own_type_may_be_anything(kind: Any) -> None:
    answer = json.dumps({"type": kind, "output": "Hello."})
    assert said(answer) == said(f"{answer}\n") == "Hello."
    assert said(f"{line('item', 'Yes. ')}{answer}\n{line('item', 'No.')}") == "Yes. No."


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("kind", [JSON, HTML, ""])
@pytest.mark.parametrize(("body", "reply"), WHOLE.values(), ids=WHOLE)
def test_json_is_a_reply(body: Any, reply: str, kind: str, indent: int | None) -> None:
    text = json.dumps(body, indent=indent)
    assert said(text, kind) == reply
    assert said(text + "\n", kind, cuts=range(len(text))) == reply


TEXTS = {
    "text": "Hello, Zoë. It is noon.",
    "text in quotes": '"Hello," she said.',
    "text that begins with a bracket": "[laughs] Hello.",
    "markup that is no page": "<b>Hello</b>, how are you?",
    "a short tag": "<b>Hi",
}


@pytest.mark.parametrize("kind", [HTML, "text/plain", ""])
@pytest.mark.parametrize("body", TEXTS.values(), ids=TEXTS)
def test_text_is_a_reply(body: str, kind: str) -> None:
    assert said(body, kind) == body
    assert said(body, kind, cuts=range(len(body.encode()))) == body


@given(st.text(min_size=1, max_size=40), st.lists(st.integers(0, 160), max_size=8))
def test_any_text_comes_through_any_cuts(text: str, cuts: list[int]) -> None:
    body = f"Well, {text}"
    assert said(body, "text/plain", cuts) == said(body, "text/plain")


BAD: dict[str, tuple[str, str, str, str]] = {
    "it only starts": ('{"message":"Workflow was started"}', JSON, "starts_only", "refused"),
    "it does not run": ('{"message":"Webhook call received"}', JSON, "starts_only", "refused"),
    "hosted chat": (
        '{"executionStarted":true,"executionId":"7","resumeToken":"t"}',
        JSON,
        "hosted_chat",
        "refused",
    ),
    "no data": (
        '{"message":"Workflow executed successfully but no data was returned"}',
        JSON,
        "no_data",
        "refused",
    ),
    "no data of the last node": (
        '{"message":"Workflow executed successfully but the last node did not return any data"}',
        JSON,
        "no_data",
        "refused",
    ),
    "no items": ("[]", JSON, "no_data", "refused"),
    "an empty item": ("{}", JSON, "no_data", "refused"),
    "nothing streamed": ("", JSON, "streams_nothing", "refused"),
    "blank": (" \r\n", JSON, "streams_nothing", "refused"),
    "runs without words": (run_of() + run_of(run=1), JSON, "empty", "empty"),
    "an empty reply": ('{"output":""}', JSON, "empty", "empty"),
    "only thoughts": (run_of("<think>", "Hm.", "</think>"), JSON, "empty", "empty"),
    "a file": ("RIFF", "audio/wav", "file", "refused"),
    "a page": ("<!DOCTYPE html><html>", HTML, "page", "refused"),
    "another page": ("<html lang=en>", HTML, "page", "refused"),
    "no text": ('{"a":"b","c":"d"}', JSON, "no_text", "invalid"),
    "the request, sent back": (
        '{"sessionId":"s","action":"sendMessage","chatInput":"Hi"}',
        JSON,
        "no_text",
        "invalid",
    ),
    "half of JSON": ('{"output": "Hel', JSON, "no_protocol", "invalid"),
    "a failed node": ('{"error":"Rate limit"}', JSON, "workflow_failed", "unavailable"),
    "a failed node with a message": (
        '[{"error":{"name":"x"},"message":"Rate limit"}]',
        JSON,
        "workflow_failed",
        "unavailable",
    ),
    "a failed node that is streamed": (
        run_of('{"error":"Rate limit"}', node="respond"),
        JSON,
        "workflow_failed",
        "unavailable",
    ),
    "an error line": (
        line("begin") + line("error", "Bad key"),
        JSON,
        "workflow_failed",
        "unavailable",
    ),
    "nothing but signs of life": (KEEPALIVE, JSON, "empty", "empty"),
    "a proxy's page": (line("begin") + "<!DOCTYPE html>\n<p>524\n", JSON, "timeout", "timeout"),
    "half a line": (line("begin") + '{"type":"item","con', JSON, "connection_lost", "unavailable"),
}


@pytest.mark.parametrize(("body", "kind", "reason", "failure"), BAD.values(), ids=BAD)
def test_what_is_no_reply_has_its_reason(body: str, kind: str, reason: str, failure: str) -> None:
    bad, before = refused(body, kind)
    assert (bad.reason, bad.kind, before.strip()) == (reason, failure, "")


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>", "<html lang=en>", "<?xml version='1'?>"])
def test_a_page_is_one_however_the_network_cuts_it(page: str) -> None:
    with pytest.raises(BadAnswer, match="page"):
        read(page, HTML, cuts=range(len(page)))


def test_an_answer_of_no_length_is_not_one_that_streams() -> None:
    assert refused("", has_length=True)[0].reason == "no_data"


def test_a_failure_after_words_keeps_them() -> None:
    bad, before = refused(line("begin") + line("item", "It is") + line("error"))
    assert (bad.reason, before) == ("workflow_failed", "It is")


def test_half_a_line_after_words_keeps_them() -> None:
    bad, before = refused(run_of("It is noon.") + '{"type":"item","content":"and')
    assert (bad.reason, before) == ("connection_lost", "It is noon.")


def test_the_names_of_fields_are_known_but_not_what_is_in_them() -> None:
    bad, _ = refused(json.dumps([{"mood": "calm", "weather": "fine", "what I said": "x"}]))
    assert bad.fields == ["mood", "weather"]


@pytest.mark.parametrize("start", ['{"type":"begin"}\n', '{"output": "', "["])
def test_an_answer_without_an_end_does_not_fill_the_memory(start: str) -> None:
    answer = WorkflowAnswer(JSON, has_length=False)
    list(answer.feed(start.encode()))
    with pytest.raises(BadAnswer, match="no_protocol"):
        list(answer.feed(b"x" * (MAX_BYTES + 1)))


def test_json_that_is_nested_without_end_is_no_protocol() -> None:
    assert refused('{"output":' + "[" * 100_000)[0].reason == "no_protocol"
    assert refused('{"data":' * 50 + '"x"' + "}" * 50)[0].reason == "no_text"
