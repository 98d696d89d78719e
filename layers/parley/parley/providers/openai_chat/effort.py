"""How much a model thinks, in the words of OpenAI's chat protocol.

The protocol's servers have no common word for it. Many refuse a field that they do not know, and
others have one of their own (`think`, `chat_template_kwargs`, `/no_think`). So where nothing but
`none` or `minimal` is wanted, only models are told that are known to think and to take the field.
"""

from __future__ import annotations

import re

from parley.providers.replies.effort import NOTHING, Fields, ReasoningEffort

_HARDLY = re.compile(r"gpt-oss|(?:^|[/.])o[134](?:-|$)")
"""These always think; low is the least."""
_FIRST_GPT_5 = re.compile(r"gpt-5(?:-(?:mini|nano))?(?:-20\d\d-.*)?$")
_NEWER_GPT = re.compile(r"gpt-(?:5\.\d|[6-9])")
_WITHOUT: Fields = {"reasoning_effort": "none"}


def effort_words_with_tools(effort: ReasoningEffort, model: str) -> tuple[Fields, ...]:
    """Return how a model that is offered tools is told how much to think, the wanted words first.

    OpenAI's GPT-5.1 to 5.5 refuse tools together with any effort but `none`, and 5.6 also where
    none is named. Whether a model does is only known from its refusal, which names the effort.
    """
    wanted = effort_words(effort, model) or (NOTHING,)
    return wanted if _WITHOUT in wanted else (*wanted, _WITHOUT)


def effort_words(effort: ReasoningEffort, model: str) -> tuple[Fields, ...]:
    """Return how a model is told how much to think, the wanted words first.

    OpenAI's newer models take `none`, `low` and more, but not `minimal`; those called GPT-5 and no
    more take `minimal`, but not `none`.
    """
    if effort == "model":
        return ()
    if effort not in ("none", "minimal"):
        return _words(effort)
    if _HARDLY.search(model):
        return _words("low")
    if _FIRST_GPT_5.search(model):
        return _words("minimal", "low")
    if _NEWER_GPT.search(model):
        return _words("none", "low") if effort == "none" else _words("low")
    return ()


def _words(*efforts: str) -> tuple[Fields, ...]:
    return tuple({"reasoning_effort": effort} for effort in efforts)
