"""The built-in tools, as models are told of them. `parley.turn.tools.built_in` runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parley.providers.llm import ToolOffer
from parley.tools.declaration import BuiltInEntry
from parley.tools.parameters import NO_PARAMETERS
from parley.tools.tool import ToolSpec
from parley.tools.toolbox import BUILT_IN

END_SESSION = (
    "Ends the conversation. Call it only when the user says goodbye, or has clearly nothing more "
    "to ask. Say goodbye in one short sentence as well. Never call it because a question is hard "
    "or an answer is missing."
)
SET_LANGUAGE = (
    "Changes the language in which this conversation is understood and spoken, from now on. Call "
    "it when the user asks for another language, or goes on in one. Do not call it for single "
    "foreign words, names, or a question about a translation."
)
SKIP_TURN = (
    "Says nothing now, and waits until the user speaks again. Call it when the user asks for a "
    "moment, thinks aloud, or talks to somebody else. Say nothing beside the call."
)


def built_in_specs(entry: BuiltInEntry, languages: Sequence[str]) -> list[ToolSpec]:
    """Return the built-in tools that a deployment has.

    Args:
        languages: that a session may have, as ISO 639 codes.
    """
    specs = []
    if entry.end_session:
        specs.append(_spec("end_session", END_SESSION, NO_PARAMETERS, "End the conversation"))
    if entry.set_language:
        language = {
            "type": "string",
            "enum": list(languages),
            "description": "The language from now on, as its ISO 639 code.",
        }
        schema = {
            "type": "object",
            "properties": {"language": language},
            "required": ["language"],
            "additionalProperties": False,
        }
        specs.append(_spec("set_language", SET_LANGUAGE, schema, "Change the language"))
    if entry.skip_turn:
        specs.append(_spec("skip_turn", SKIP_TURN, NO_PARAMETERS, "Wait for the user"))
    return specs


def _spec(name: str, description: str, schema: Mapping[str, Any], title: str) -> ToolSpec:
    # The same however often: a later attempt at the turn does it again.
    return ToolSpec(
        ToolOffer(name, description, schema),
        BUILT_IN,
        target=name,
        effect="idempotent",
        title=title,
    )
