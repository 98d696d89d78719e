"""Tool calls that come in pieces, as real servers send them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.providers.openai_chat.reply import ChatReply
from parley.providers.openai_chat.tool_calls import ToolCallAssembler


def piece(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {key: each for key, each in function.items() if each is not None}, **more}


def assembled(*deltas: list[Any]) -> list[tuple[str, str]]:
    assembler = ToolCallAssembler()
    for delta in deltas:
        assembler.feed(delta)
    return [(call.name, call.arguments) for call in assembler.finish()]


TWO = [("look", '{"a":1}'), ("look", '{"a":2}')]
CASES: list[tuple[str, list[list[Any]], list[tuple[str, str]]]] = [
    (
        "OpenAI",
        [
            [piece("look", "", index=0, id="c1", type="function")],
            [piece(arguments='{"a"', index=0)],
            [piece(arguments=":1}", index=0)],
            [piece("look", "", index=1, id="c2", type="function")],
            [piece(arguments='{"a":2}', index=1)],
        ],
        TWO,
    ),
    (
        "pieces of two calls by turns",
        [
            [piece("look", '{"a"', index=0, id="c1"), piece("look", '{"a"', index=1, id="c2")],
            [piece(arguments=":1}", index=0), piece(arguments=":2}", index=1)],
        ],
        TWO,
    ),
    (
        "Groq: whole calls",
        [[piece("look", each, index=at)] for at, (_, each) in enumerate(TWO)],
        TWO,
    ),
    ("Ollama: objects", [[piece("look", {"a": 1})], [piece("look", {"a": 2})]], TWO),
    (
        "Ollama: objects, all of index 0",
        [[piece("look", {"a": 1}, index=0)], [piece("look", {"a": 2}, index=0)]],
        TWO,
    ),
    ("several in one delta", [[piece("look", {"a": 1}), piece("look", {"a": 2})]], TWO),
    (
        "Gemini: index 0 twice, other ids",
        [
            [piece("look", '{"a":1}', index=0, id="x")],
            [piece("look", '{"a":2}', index=0, id="y")],
        ],
        TWO,
    ),
    (
        "index 0 twice, another name, no id",
        [[piece("look", '{"a":', index=0, id="")], [piece("find", "{}", index=0, id="")]],
        [("look", '{"a":'), ("find", "{}")],
    ),
    (
        "id and name repeated with each piece",
        [[piece("look", each, index=0, id="c1")] for each in ('{"a"', ":", "1}")],
        [TWO[0]],
    ),
    (
        "a name repeated with each piece, without an id",
        [[piece("look", each, index=0)] for each in ('{"a"', ":", "1}")],
        [TWO[0]],
    ),
    (
        "a name in pieces",
        [[piece("lo", index=0, id="c")], [piece("ok", index=0)], [piece(None, "{}", index=0)]],
        [("look", "{}")],
    ),
    (
        "pieces that are known by their id alone",
        [
            [piece("look", "", id="c1"), piece("look", "", id="c2")],
            [piece(None, '{"a":2}', id="c2")],
            [piece(None, '{"a":1}', id="c1")],
        ],
        TWO,
    ),
    (
        "an index as text",
        [[piece("look", '{"a"', index="1")], [piece(None, ":1}", index="1")]],
        TWO[:1],
    ),
    ("no arguments", [[piece("now", id="c", index=0)]], [("now", "{}")]),
    ("empty arguments", [[piece("now", "", index=0)]], [("now", "{}")]),
    ("arguments that are not whole", [[piece("look", '{"a', index=0)]], [("look", '{"a')]),
    ("nonsense", [["x", None, {"function": 5, "id": 7}, {}]], []),
]


@pytest.mark.parametrize(
    ("deltas", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_calls_are_put_together(deltas: list[list[Any]], expected: list[tuple[str, str]]) -> None:
    assert assembled(*deltas) == expected


def test_an_object_of_arguments_keeps_its_long_numbers() -> None:
    reply = ChatReply(["look"], model="m")
    whole = '{"choices":[{"message":{"tool_calls":[{"function":{"name":"look","arguments":'
    list(reply.feed((whole + '{"b":12345678901234567890,"a":1}}}]}}]}').encode()))
    list(reply.close())
    assert reply.tool_calls is not None
    assert reply.tool_calls.calls[0].arguments == '{"a":1,"b":12345678901234567890}'


def test_an_answer_that_has_not_ended_has_no_calls_to_run() -> None:
    reply = ChatReply(["look"], model="m")
    chunk = {"choices": [{"delta": {"tool_calls": [piece("look", "{}", index=0, id="c")]}}]}
    list(reply.feed(f"data: {json.dumps(chunk)}\n\n".encode()))
    assert reply.tool_calls is None
    list(reply.feed(b"data: [DONE]\n\n"))
    assert reply.tool_calls is not None


def test_ids_are_echoed_and_made_where_there_are_none_of_their_own() -> None:
    assembler = ToolCallAssembler()
    assembler.feed([piece("look", "{}", index=0, id="functions.look:0")])
    assembler.feed([piece("look", "{}", index=1, id="functions.look:0")])
    assembler.feed([piece("look", "{}", index=2)])
    ids = [call.id for call in assembler.finish()]
    assert ids[0] == "functions.look:0"
    assert all(len(each) == 9 and each.isalnum() for each in ids[1:])
    assert len(set(ids)) == 3


def test_what_else_a_call_has_is_kept() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "sig"}}}
    assembler = ToolCallAssembler()
    assembler.feed([piece("look", "{", index=0, id="c", type="function", other=None)])
    assembler.feed([piece(None, "}", index=0, **signed)])
    (call,) = assembler.finish()
    assert call.extra == signed


# --- however a stream is cut ----------------------------------------------------------------

_CALLS = st.lists(
    st.tuples(
        st.sampled_from(["look", "find", "look_up"]),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=4), max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def _streams(draw: st.DrawFn) -> tuple[list[tuple[str, str]], bytes]:
    """Calls, and a stream of their pieces."""
    calls = [(name, json.dumps(found)) for name, found in draw(_CALLS)]
    deltas: list[dict[str, Any]] = []
    same_index = draw(st.booleans())
    for at, (name, arguments) in enumerate(calls):
        index = 0 if same_index else at
        repeats, rest = draw(st.booleans()), arguments
        more = {"index": index, "id": f"c{at}"}
        deltas.append(piece(name, "", **more))
        while rest:
            size = draw(st.integers(1, len(rest)))
            told = {"id": f"c{at}"} if repeats else {}
            deltas.append(piece(name if repeats else None, rest[:size], index=index, **told))
            rest = rest[size:]
    events: list[Any] = [{"choices": [{"delta": {"tool_calls": [delta]}}]} for delta in deltas]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return calls, "".join(f"data: {json.dumps(each)}\n\n" for each in events).encode()


@settings(max_examples=40, deadline=None)
@given(_streams(), st.integers(1, 400))
def test_however_a_stream_is_cut_its_calls_are_the_same(
    found: tuple[list[tuple[str, str]], bytes], size: int
) -> None:
    calls, stream = found
    reply = ChatReply(["look"], model="m")
    for at in range(0, len(stream), size):
        list(reply.feed(stream[at : at + size]))
    list(reply.close())
    assert reply.tool_calls is not None
    assert [(call.name, call.arguments) for call in reply.tool_calls.calls] == calls
