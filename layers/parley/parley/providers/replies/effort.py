"""How much a model thinks before it speaks, and in which words it takes being told so.

Models differ in what they take: a value that one needs, the next refuses with a 400, and nothing
but the answer says so. The first words that are taken are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from parley.errors import ConfigurationError
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "model"]
"""`model`: nothing is said, and the model does as it usually does."""

Fields = Mapping[str, Any]
"""Of a request's body."""

NOTHING: Fields = {}

_MARKS = (b"reasoning", b"effort", b"think", b"output_config")
"""What a refusal speaks of that may mean one of these fields."""


def read_effort(context: ProviderContext) -> ReasoningEffort:
    """Return the deployment's `ReasoningEffort`.

    Raises:
        ConfigurationError: it is none.
    """
    name = context.text("REASONING_EFFORT", "none")
    for effort in get_args(ReasoningEffort):
        if name == effort:
            return effort  # type: ignore[no-any-return]  # typeshed's get_args says Any
    raise ConfigurationError(
        f"REASONING_EFFORT is {name!r}: set ReasoningEffort to one of "
        f"{', '.join(get_args(ReasoningEffort))}."
    )


class EffortWords:
    """What one endpoint's model is told, in the first words that it takes.

    Args:
        words: the wanted ones first; after the last, nothing is said.
        log: told once that the wanted ones were refused; takes an event name and fields.
        with_tools: whether tools are offered with them: models refuse more then.
    """

    def __init__(
        self,
        words: Sequence[Fields],
        endpoint: Endpoint,
        log: Callable[[str, dict[str, Any]], None],
        *,
        with_tools: bool = False,
    ) -> None:
        self._with_tools = with_tools
        self._words = (*words, NOTHING)
        self._endpoint = endpoint
        self._log = log
        self.index = 0

    def fields(self, index: int) -> Fields:
        """Return the fields of a request.

        Args:
            index: which words; a reply begins with those of the attribute.
        """
        return self._words[index]

    def are_refused(self, index: int, status: int, body: bytes, said: Sequence[str]) -> bool:
        """Return whether an answer may have refused these words, and others may be taken.

        Args:
            said: what an error may repeat, and what says nothing of the fields.
        """
        if status not in (400, 422) or index + 1 >= len(self._words):
            return False
        for text in said:
            body = body.replace(text.encode(), b"")
        body = body.lower()
        return any(mark in body for mark in _MARKS)

    def note_taken(self, index: int) -> None:
        """Begin with these words from now on."""
        if index <= self.index:
            return
        self.index = index
        endpoint = self._endpoint
        told = self._words[index] or "nothing"
        tools, effort = (" together with tools", "none") if self._with_tools else ("", "model")
        advice = (
            f"Model '{endpoint.model}' at {endpoint.host} does not take what ReasoningEffort "
            f"says{tools}; it is told {told}. Finding that out costs every new environment a "
            f"request: ReasoningEffort {effort} saves it, or another {endpoint.model_parameter}."
        )
        fields = {"provider": "llm", "host": endpoint.host, "advice": advice}
        self._log("reasoning_effort_refused", fields)
