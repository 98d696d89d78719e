"""What chat endpoints send, and the reply that is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.providers.openai_chat.reply import ChatReply
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense
from parley.providers.replies.thought_filter import ThoughtFilter

HUGE = "9" * 5000
"""A number that Python itself does not read."""


def event(content: Any = None, *, choice: Any = None, **fields: Any) -> str:
    """One event of a stream.

    Args:
        choice: fields of the choice beside its delta.
        fields: of the event itself.
    """
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, **(choice or {})}]
    body = json.dumps({"choices": choices, **fields}).replace('"HUGE"', HUGE)
    return f"data: {body}\n\n"


STOP = event(choice={"finish_reason": "stop"})
DONE = "data: [DONE]\n\n"


def read(answer: str | bytes, sizes: list[int] | None = None) -> ChatReply:
    """Read an answer that comes in pieces of these sizes; `said` of what comes back is its text."""
    raw = answer.encode() if isinstance(answer, str) else answer
    reply, at, pieces = ChatReply(), 0, list[str]()
    for size in [*(sizes or []), len(raw)]:
        pieces += reply.feed(raw[at : at + size])
        at += size
    pieces += reply.close()
    reply.said = "".join(pieces)  # type: ignore[attr-defined]
    return reply


def said(answer: str | bytes, sizes: list[int] | None = None) -> str:
    return read(answer, sizes).said  # type: ignore[attr-defined, no-any-return]


def text_part(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


THOUGHT_PART = {"type": "thinking", "thinking": [text_part("hm")]}

CONTENTS: list[tuple[str, list[Any], str]] = [
    ("strings", ["Hel", "lo."], "Hello."),
    ("nothing in between", ["Hel", None, "", "lo."], "Hello."),
    ("a thought as a part", [[THOUGHT_PART], [text_part("Hello "), text_part("there.")]],
     "Hello there."),
    ("parts of other kinds", [[{"type": "image_url", "image_url": {"url": "x"}}, text_part("Hi")]],
     "Hi"),
    ("parts that are none", [[None, 7, [], {}, {"type": "text"}, {"text": "Hi"}]], "Hi"),
    ("a part whose text is none", [[{"type": "text", "text": 7}, text_part("Hi")]], "Hi"),
    ("strings as parts", [["Hel", "lo"]], "Hello"),
    ("one part without a list", [text_part("Hi")], "Hi"),
    ("no parts", [[], "Hi"], "Hi"),
    ("strings and parts", ["Hel", [text_part("lo")]], "Hello"),
    ("an emoji in two halves", ["fun \ud83d", "\ude00 bye"], "fun 😀 bye"),
    ("an emoji in two halves of parts", [[text_part("\ud83d"), text_part("\ude00")]], "😀"),
    ("halves with nothing in between", ["\ud83d", "", None, "\ude00"], "😀"),
    ("half an emoji at the end", ["fun \ud83d"], "fun \ufffd"),
    ("half an emoji and a word", ["\ud83d", "fun"], "\ufffdfun"),
    ("the other half alone", ["fun \ude00!"], "fun \ufffd!"),
    ("two first halves", ["\ud83d", "\ud83d\ude00"], "\ufffd😀"),
    ("white space at the start", ["\n ", "Hi"], "\n Hi"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "expected"), [case[1:] for case in CONTENTS], ids=[case[0] for case in CONTENTS]
)
def test_the_text_of_a_reply(contents: list[Any], expected: str) -> None:
    assert said("".join(map(event, contents)) + STOP + DONE) == expected


THOUGHTS: list[tuple[str, str, str]] = [
    ("a thought", "<think>The user wants the time.</think>\n\nIt is noon.", "It is noon."),
    ("after white space", "\n <think>hm</think> Noon.", "Noon."),
    ("of another name", "<thinking>hm</thinking>Noon.", "Noon."),
    ("of a third name", "<reasoning>\nhm\n</reasoning>\nNoon.", "Noon."),
    ("of a fourth name", "<thought>hm</thought>Noon.", "Noon."),
    ("in other brackets", "[THINK]hm[/THINK]Noon.", "Noon."),
    ("in capitals", "<THINK>hm</Think>Noon.", "Noon."),
    ("an empty one", "<think>\n\n</think>\n\nNoon.", "Noon."),
    ("two of them", "<think>a</think>\n<think>b</think>\nNoon.", "Noon."),
    ("with another tag in it", "<think>a <b> </thinking> c</think>Noon.", "Noon."),
    ("with what looks like its end", "<think>a </thin b </think</think>Noon.", "Noon."),
    ("with what grows in lower case", "<think>İİİİİİ</think>Noon.", "Noon."),
    ("without an end", "<think>The user wants", ""),
    ("without an end, nearly", "<think>The user wants</thin", ""),
    ("nothing but a thought", "<think>hm</think>", ""),
    ("a reply about the tag", "The <think> tag holds <think>thoughts</think>.",
     "The <think> tag holds <think>thoughts</think>."),
    ("a reply about it after a thought", "<think>hm</think>It is <think>.", "It is <think>."),
    ("a tag in quotes", "`<think>` begins a thought.", "`<think>` begins a thought."),
    ("another tag", "<b>Noon</b>", "<b>Noon</b>"),
    ("the start of a tag", "<thi", "<thi"),
    ("a longer tag", "<thinker>Noon", "<thinker>Noon"),
    ("less than", "< 5", "< 5"),
    ("an end without a start", "</think>\n\nNoon.", "Noon."),
    ("two ends without a start", "</think>\n</THINK >Noon.", "Noon."),
    ("an end within a reply", "It is </think> noon.", "It is </think> noon."),
    ("one in another", "<think><think>a</think>secret</think>Noon.", "Noon."),
    ("one in another, later", "<think>a <think>b</think> secret</think>\nNoon.", "Noon."),
    ("one of another name in it", "<think><reflection>a</reflection>b</think>Noon.", "Noon."),
    ("three deep", "<think><think><thought>a</thought></think>b</think>\nNoon.", "Noon."),
    ("a tag that a thought is about", "<think>The <think> tag?</think>Noon.", "Noon."),
    ("a tag that thought and reply are about", "<think>The <think> tag?</think>It is <think>.",
     "It is <think>."),
    ("two that begin and one that ends", "<think>\n<think>\nhm</think>\n\nNoon.", "Noon."),
    ("an attribute", '<think type="x">a</think>Noon.', "Noon."),
    ("attributes", "<think budget = 3 x='y'>a</think>Noon.", "Noon."),
    ("white space in the tags", "<think >a</think >Noon.", "Noon."),
    ("white space before the name", "< think>a</ think>Noon.", "Noon."),
    ("a break within the tag", "<think\n>a< / think\n>Noon.", "Noon."),
    ("an end of another name", "<think>a</thinking>Noon.", "Noon."),
    ("an end of another name, the other way", "<thinking>a</think>\nNoon.", "Noon."),
    ("an end in other brackets", "[THINK]a</think>Noon.", "Noon."),
    ("an empty tag", "<think/>Noon.", "Noon."),
    ("an empty tag with white space", "<think />\n\nNoon.", "Noon."),
    ("an empty tag in a thought", "<think>a<think/>b</think>Noon.", "Noon."),
    ("an end of other brackets in a thought", "[THINK]a [/think]Noon.", "Noon."),
    ("an answer in tags", "<think>a</think>\n<answer>Noon.</answer>", "Noon."),
    ("an answer in capitals", "<think>a</think><ANSWER>\nIt is noon. </Answer>", "It is noon. "),
    ("an answer and more", "<think>a</think><answer>It is</answer> noon.", "It is noon."),
    ("an answer without an end", "<think>a</think><answer>Noon. 3 < 4", "Noon. 3 < 4"),
    ("an answer without a thought", "<answer>Noon.</answer>", "<answer>Noon.</answer>"),
    ("an answer about answers", "<think>a</think>Put it into <answer>.", "Put it into <answer>."),
    ("a tag of a reply after a thought", "<think>a</think><b>Noon</b>", "<b>Noon</b>"),
    ("tokens of a thought", "<|begin_of_thought|>a<|end_of_thought|>\n\n"
     "<|begin_of_solution|>Noon.<|end_of_solution|>", "Noon."),
    ("channels", "<|channel|>analysis<|message|>a <b><|end|><|start|>assistant<|channel|>final"
     "<|message|>Noon.<|return|>", "Noon."),
    ("channels without an end", "<|channel|>analysis<|message|>a"
     "<|start|>assistant<|channel|>final<|message|>Noon.", "Noon."),
    ("several channels", "<|start|>assistant<|channel|>analysis<|message|>a<|end|>"
     "<|start|>assistant<|channel|>commentary to=user<|message|>b<|end|>"
     "<|channel|>final<|message|>Noon.", "Noon."),
    ("the last channel alone", "<|channel|>final<|message|>Noon.", "Noon."),
    ("after a blank that is none", "\u200b<think>a</think>\u200bNoon.", "Noon."),
    ("in a fence", "```\n<think>\na\n</think>\n```\nNoon.", "Noon."),
    ("in a fence of tildes", "~~~\n<think>a</think>\n~~~\n\nNoon.", "Noon."),
    ("a fence of the reply", "<think>a</think>```\n1 + 1\n```", "```\n1 + 1\n```"),
    ("a fence of a reply without a thought", "```\n<b>\n```\nNoon.", "```\n<b>\n```\nNoon."),
    ("a fence in a language", "```xml\n<think>a</think>\n```", "```xml\n<think>a</think>\n```"),
    *((f"of the name {name}", f"<{name}>a</{name}>\nNoon.", "Noon.") for name in (
        *("thoughts", "analysis", "reflection", "scratchpad", "Reasoning", "inner_monologue"),
        *("seed:think", "antThinking", "reason"),
    )),
    ("words in angle brackets", "<think about it>Noon.", "<think about it>Noon."),
    ("more words in them", "<analysis of the data> and more", "<analysis of the data> and more"),
    ("the start of a tag with an attribute", "<think type='x", "<think type='x"),
    ("a tag of a name that is longer", "<reasonable>Noon</reasonable>",
     "<reasonable>Noon</reasonable>"),
    ("an end of a name that is longer", "</thinker>Noon", "</thinker>Noon"),
    ("an empty tag of another name", "<br/>Noon", "<br/>Noon"),
    ("words behind a bar", "<|Noon|>", "<|Noon|>"),
    ("a word in code", "``<think>`` begins it.", "``<think>`` begins it."),
    ("an endless tag", "<think x=" + "y" * 400 + ">Noon.", "<think x=" + "y" * 400 + ">Noon."),
    ("much white space", "\n" * 1200 + "Noon.", "\n" * 1200 + "Noon."),
    ("much white space before a tag", "\n" * 1200 + "<b>", "\n" * 1200 + "<b>"),
    ("long thoughts", "<think>" + "a < b, [c]. " * 80 + "</think>Noon.", "Noon."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [case[1:] for case in THOUGHTS], ids=[case[0] for case in THOUGHTS]
)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
def test_what_the_model_thinks_is_not_said(text: str, expected: str, size: int) -> None:
    deltas = [text[at : at + size] for at in range(0, len(text), size)]
    assert said("".join(map(event, deltas)) + STOP + DONE) == expected


def test_a_thought_shows_that_the_model_is_at_work() -> None:
    reply = ChatReply()
    assert list(reply.feed(event("<think>h").encode())) == [""]
    assert list(reply.feed(event("m, hm").encode())) == [""]
    assert list(reply.feed(event("</think>Noon.").encode())) == ["Noon."]
    fields = {"delta": {"reasoning_content": "hm"}}
    assert list(ChatReply().feed(event(choice=fields).encode())) == [""]


NOT_READ: list[dict[str, Any]] = [
    {"usage": "x"},
    {"usage": {"total_tokens": 10**400}},
    {"usage": {"prompt_tokens": {"a": [1, {}]}}},
    {"id": 7, "created": "yesterday", "object": None, "model": [], "system_fingerprint": {}},
    {"error": None},
    {"error": {}},
    {"error": ""},
    {"error": False},
    {"service_tier": 1.5e308, "obfuscation": "\ud83d"},
    {"x": "\x00\x1f"},
    {"\ud800": 1},
    {"choice": {"index": "0"}},
    {"choice": {"index": "HUGE"}},
    {"usage": {"total_tokens": "HUGE"}},
    {"choice": {"index": None, "logprobs": "x"}},
    {"choice": {"finish_reason": None}},
    {"choice": {"finish_reason": ""}},
    {"choice": {"finish_reason": 0}},
    {"choice": {"finish_reason": "null"}},
    {"choice": {"finish_reason": 5}},
    {"choice": {"finish_reason": ["stop"]}},
    {"choice": {"finish_reason": {"reason": "stop"}}},
]
DELTAS: list[dict[str, Any]] = [
    {"role": 5},
    {"role": None, "tool_calls": None, "function_call": None, "refusal": None},
    {"tool_calls": []},
    {"tool_calls": {}},
    {"tool_calls": 0},
    {"reasoning_content": ["x"], "reasoning": 3, "thinking": {}},
    {"audio": {"data": "x"}, "annotations": 7},
]


@pytest.mark.parametrize("fields", NOT_READ, ids=ascii)
def test_a_field_that_is_not_read_cannot_lose_a_reply(fields: dict[str, Any]) -> None:
    assert said(event("Hel", **fields) + event("lo.") + DONE) == "Hello."


@pytest.mark.parametrize("delta", DELTAS, ids=str)
def test_nor_can_one_of_a_delta(delta: dict[str, Any]) -> None:
    choice = {"delta": {**delta, "content": "Hel"}}
    assert said(event(choice=choice) + event("lo.") + DONE) == "Hello."
    empty = event(choice={"delta": delta})
    assert said(event("Hel") + empty + event("lo.") + empty + DONE) == "Hello."


EVENTS_WITHOUT_TEXT = [
    'data: {"choices": []}\n\n',
    'data: {"choices": null, "usage": {"total_tokens": 7}}\n\n',
    "data: {}\n\n",
    'data: {"choices": [{}]}\n\n',
    'data: {"choices": [{"delta": null}]}\n\n',
    'data: {"x": NaN, "y": Infinity, "z": 1e999, "n": -0}\n\n',
    'data: {"prompt_filter_results": [{"prompt_index": 0}], "choices": []}\n\n',
    "data:\n\n",
    "data\n\n",
    ": ping\n\n",
    "event: ping\n\n",
    "id: 1\nretry: x\n\n",
    "\n\n\n",
    "nonsense\n\n",
    "event: ping\ndata: {}\n\n",
    "event: ping\ndata: keep-alive\n\n",
    "event: keep-alive\ndata: null\n\n",
    "data: keep-alive\n\n",
    "data: null\n\n",
    'data: ""\n\n',
    "data: []\n\n",
    "data: [null]\n\n",
    "data: 7\n\n",
    "data: true\n\n",
    'data: {"choices": [null]}\n\n',
    'data: {"choices": ["x", 7]}\n\n',
    'data: {"choices": {}}\n\n',
    'data: {"choices": {"a": 1}}\n\n',
    'data: {"choices": "x"}\n\n',
    'data: {"choices": [{"delta": []}]}\n\n',
    'data: {"choices": [{"delta": "x"}]}\n\n',
    'data: {"choices": [{"delta": {"content": false}}]}\n\n',
    'data: {"choices": [{"delta": {"content": true}}]}\n\n',
    'data: {"choices": [{"delta": {"content": {}}}]}\n\n',
    'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n',
    'data: {"choices": [{"delta": {"content": 1e999}}]}\n\n',
    'data: {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}\n\n',
    "data: {\n\n",
    "data: [[[[\n\n",
    'data: {"object": "chat.completion.chunk", "detail": null}\n\n',
]


@pytest.mark.parametrize("between", EVENTS_WITHOUT_TEXT)
def test_an_event_without_text_is_passed_over(between: str) -> None:
    whole = between + event("Hel") + between + event("lo.") + between + STOP + between + DONE
    assert said(whole) == "Hello."


FRAMED = [
    ("no blank lines", "".join(e.replace("\n\n", "\n") for e in (event("Hel"), event("lo.")))
     + DONE, "Hello."),
    ("an event over several lines",
     "data: " + json.dumps({"choices": [{"delta": {"content": "Hi"}}]}, indent=1)
     .replace("\n", "\ndata: ") + "\n\n" + DONE, "Hi"),
    ("done within an event", event("Hi").rstrip() + "\n" + DONE, "Hi"),
    ("done in white space", event("Hi") + "data:  [DONE] \n\n", "Hi"),
    ("done without a blank line", event("Hi") + "data: [DONE]", "Hi"),
    ("a reply without a blank line", event("Hi") + STOP.rstrip(), "Hi"),
    ("a byte order mark", "\ufeff" + event("Hi") + DONE, "Hi"),
    ("a mark before the JSON", "data: \ufeff{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"
     + DONE, "Hi"),
    ("CR LF", (event("Hi") + DONE).replace("\n", "\r\n"), "Hi"),
    ("CR", (event("Hi") + DONE).replace("\n", "\r"), "Hi"),
    ("control characters in text", 'data: {"choices":[{"delta":{"content":"a\tb"}}]}\n\n' + DONE,
     "a\tb"),
    ("nothing after done", event("Hi") + DONE + event("later"), "Hi"),
    ("text after the end",
     event("Hi", choice={"finish_reason": "stop"}) + event("!") + DONE, "Hi!"),
    ("nonsense after the end", event("Hi") + STOP + "data: {\n\n" + DONE, "Hi"),
    ("an error after the end", event("Hi") + STOP + 'data: {"error": "x"}\n\n', "Hi"),
    ("the whole once more at the end",
     event("Hel") + event("lo") + event(choice={"delta": None, "message": {"content": "Hello"},
                                                "finish_reason": "stop"}), "Hello"),
    ("a message in place of a delta",
     event(choice={"delta": None, "message": {"content": "Hello"}}) + DONE, "Hello"),
    ("numbers", event(4) + event(".") + event(2.5) + event(0) + DONE, "4.2.50"),
    ("choices that come in turns",
     event("", choice={"index": 1, "delta": {"content": "B"}})
     + event("Hel") + event(choice={"index": 2, "delta": {"content": "C"}})
     + event(choice={"index": 1, "finish_reason": "stop"}) + event("lo") + STOP, "Hello"),
    ("choices in one event",
     'data: {"choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"length"},'
     '{"index":0,"delta":{"content":"A"}}]}\n\n' + DONE, "A"),
    ("a choice whose index is text",
     event("A", choice={"index": "0"}) + event("B", choice={"index": "1"}) + DONE, "A"),
    ("several choices",
     'data: {"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}\n\n' + DONE, "ab"),
    ("a refusal", event(choice={"delta": {"content": None, "refusal": "I can't."}}) + STOP,
     "I can't."),
    ("a refusal as a part", event([{"type": "refusal", "refusal": "I can't."}]) + STOP,
     "I can't."),
    ("a tool call beside words",
     event("Hi", choice={"delta": {"content": "Hi", "tool_calls": [{"index": 0}]}}) + STOP, "Hi"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"), [case[1:] for case in FRAMED], ids=[case[0] for case in FRAMED]
)
def test_a_stream_of_any_make(answer: str, expected: str) -> None:
    assert said(answer) == expected
    assert said(answer, [1] * len(answer.encode())) == expected


WHOLE: list[tuple[dict[str, Any], str]] = [
    ({"choices": [{"message": {"role": "assistant", "content": "Hello."}}]}, "Hello."),
    ({"choices": [{"message": {"content": [text_part("Hel"), text_part("lo.")]}}]}, "Hello."),
    ({"choices": [{"message": {"content": "<think>hm</think>\nHello."}, "index": "0"}]}, "Hello."),
    ({"choices": [{"message": {"content": "fun \ud83d"}, "finish_reason": "stop"}]}, "fun \ufffd"),
    ({"choices": [{"message": {"content": None, "refusal": "No."}}], "usage": "x"}, "No."),
    ({"choices": [{"delta": {"content": "Hello."}}]}, "Hello."),
]


@pytest.mark.parametrize(("answer", "expected"), WHOLE, ids=str)
@pytest.mark.parametrize("before", ["", "\n ", "\ufeff"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_endpoint_may_answer_without_a_stream(
    answer: dict[str, Any], expected: str, before: str, indent: int | None
) -> None:
    body = before + json.dumps(answer, indent=indent) + "\n"
    assert said(body) == expected
    assert said(body, [1] * len(body.encode())) == expected


@pytest.mark.parametrize(
    "answer",
    [
        '{"choices": [{"message": {"content": "Hel',
        '{"status": "ok"}',
        "{}",
        "[]",
        "[" * 100_000,
        '{"choices": 7}',
        '{"choices": {"a": 1}}',
        '{"choices": ["x"]}',
        '{"choices": [{"delta": "x"}]}',
        '{"choices": [{"delta": {"content": {"a": 1}}}]}',
        '[{"status": "ok"}]',
        "OK",
        "OK\n",
        "Welcome\n\nto: the router\n",
        "<!doctype html><title>Sign in</title>",
        "\n <html>\n<body>\ndata: x\n\n</body></html>",
        "upstream connect error or disconnect/reset before headers",
        "data: nonsense",
        "data: null\n\n" + DONE,
        "data: nonsense\n\n: ping\n\n",
    ],
    ids=lambda answer: answer[:40],
)
def test_what_makes_no_sense_is_no_reply(answer: str) -> None:
    with pytest.raises(Nonsense):
        read(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "\n", ": ping\n\n", event("Hi"), event("Hi") + 'data: {"ch', 'data: {"ch', "da"),
        *("event: ping\ndata: keep-alive\n\n", "retry: 5\nid: 7\n\n", event("Hi") + "data: x\n\n"),
    ],
)
def test_an_answer_that_ends_before_the_reply_has_broken_off(answer: str) -> None:
    with pytest.raises(BrokenOff):
        read(answer)


ERRORS: list[tuple[str, Any]] = [
    ('data: {"error": {"code": "x"}}\n\n', {"code": "x"}),
    ('data: {"error": "x"}\n\n', "x"),
    ('data: {"error": {"code": "x"}, "choices": [{"finish_reason": "error"}]}\n\n', {"code": "x"}),
    ('event: error\ndata: {"code": "x"}\n\n', {"code": "x"}),
    ('event: error\ndata: {"error": {"code": "x"}}\n\n', {"code": "x"}),
    ("event: error\ndata: broken\n\n", "broken"),
    ('error: {"code": "x"}\n\n', {"code": "x"}),
    ('{"error": {"code": "x"}}', {"code": "x"}),
    ('data: {"choices": [{"finish_reason": "error"}]}\n\n', None),
    ('data: {"choices": [{"finish_reason": "error", "error": {"code": 502}}]}\n\n', {"code": 502}),
    ('data: {"object": "error", "code": 429}\n\n', {"object": "error", "code": 429}),
    ('{"object": "error", "code": 429}', {"object": "error", "code": 429}),
    ('data: {"detail": "Overloaded"}\n\n', {"detail": "Overloaded"}),
    ('{"detail": "Overloaded"}', {"detail": "Overloaded"}),
    ('[{"error": {"code": "x"}}]', {"code": "x"}),
    ('data: [{"error": {"code": "x"}}]\n\n', {"code": "x"}),
    ('event: error\ndata: [{"error": {"code": "x"}}]\n\n', {"code": "x"}),
    ('event: error\ndata: {"detail": "x"}\n\n', {"detail": "x"}),
    ('[{"object": "error", "code": 429}]', {"object": "error", "code": 429}),
    ('data: keep-alive\n\ndata: {"error": "x"}\n\n', "x"),
]


@pytest.mark.parametrize(("answer", "error"), ERRORS)
def test_an_error_in_an_answer_is_one(answer: str, error: Any) -> None:
    with pytest.raises(ErrorInAnswer) as raised:
        read(answer)
    assert raised.value.error == error


@pytest.mark.parametrize(
    ("answer", "reason", "calls_tool"),
    [
        (STOP, "stop", False),
        (DONE, "", False),
        (event(" \u200b") + STOP, "stop", False),
        (event(choice={"finish_reason": "length"}), "length", False),
        (event(choice={"finish_reason": "content_filter"}) + DONE, "content_filter", False),
        (event(choice={"delta": {"tool_calls": [{"id": "a"}]}}) + STOP, "stop", True),
        (event(choice={"delta": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}),
         "tool_calls", True),
        (event(choice={"delta": {"function_call": {"name": "a"}}}) + DONE, "", True),
        (event("<think>hm") + event(choice={"finish_reason": "length"}), "length", False),
    ],
)  # fmt: skip
def test_a_reply_in_which_there_is_nothing_to_read(
    answer: str, reason: str, calls_tool: bool
) -> None:
    reply = read(answer)
    assert not reply.shows_something
    assert (reply.finish_reason, reply.calls_tool) == (reason, calls_tool)


PIECES: list[Any] = [
    "Hel", "lo. ", "é🙂", "\ud83d", "\ude00", "<think>", "</think>", "<thi", "\n", None, "",
    [text_part("x"), THOUGHT_PART], "line\u2028end",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.lists(st.sampled_from(EVENTS_WITHOUT_TEXT), max_size=3),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=60),
)
def test_a_reply_does_not_depend_on_how_the_network_cuts_it(
    contents: list[Any],
    between: list[str],
    end: str,
    mark: bool,
    sizes: list[int],
) -> None:
    whole = ("\ufeff" if mark else "") + "".join(between)
    whole += "".join(map(event, contents)) + STOP + DONE
    raw = whole.replace("\n", end).encode()
    assert said(raw, sizes) == said(raw) == said(raw, [1] * len(raw))


@given(st.lists(st.integers(0, 40), max_size=60), st.sampled_from(WHOLE))
def test_nor_does_an_answer_in_one_piece(
    sizes: list[int], answer: tuple[dict[str, Any], str]
) -> None:
    assert said(json.dumps(answer[0], indent=1), sizes) == answer[1]


TAGS = [
    *("<think>", "</think>", "<thinking>", "</thinking>", "< think >", "<think/>", "<think a='b'>"),
    *("[THINK]", "[/THINK]", "<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant"),
    *("<|channel|>final<|message|>", "<answer>", "</answer>", "```", "\n", " ", "\u200b", "Noon. "),
    *(
        "a",
        "<",
        ">",
        "/",
        "<b>",
        "`",
        "x" * 300,
        " " * 990,
        "<think x=",
        "[",
        "<|begin_of_thought|>",
    ),
]


@given(st.lists(st.sampled_from(TAGS), max_size=12), st.lists(st.integers(1, 9), max_size=60))
def test_nor_do_thoughts_depend_on_how_they_are_cut(pieces: list[str], sizes: list[int]) -> None:
    def filtered(parts: list[str]) -> str:
        thoughts = ThoughtFilter()
        return "".join([*map(thoughts.feed, parts), thoughts.flush()])

    text, rest, cut = "".join(pieces), "".join(pieces), list[str]()
    for size in sizes:
        cut, rest = [*cut, rest[:size]], rest[size:]
    assert filtered([*cut, rest]) == filtered(pieces) == filtered(list(text)) == filtered([text])


@given(st.lists(st.sampled_from(TAGS[:14]), min_size=1, max_size=6))
def test_a_reply_in_words_loses_nothing(pieces: list[str]) -> None:
    text = "The tag " + "".join(pieces)
    thoughts = ThoughtFilter()
    assert thoughts.feed(text) + thoughts.flush() == text


@given(st.binary(max_size=200))
def test_whatever_comes_there_is_a_reply_or_a_failure(answer: bytes) -> None:
    for raw in (answer, b"data: " + answer + b"\n\n", b"{" + answer):
        try:
            assert isinstance(said(raw), str)
        except (Nonsense, BrokenOff, ErrorInAnswer):
            continue
