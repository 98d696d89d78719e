"""From the texts of an answer to what of them is spoken: no thoughts, and no calls that are written
as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parley.providers.replies.failures import LeakedCall
from parley.providers.replies.leak_guard import LeakGuard
from parley.providers.replies.surrogates import SurrogateJoiner
from parley.providers.replies.thought_filter import ThoughtFilter
from parley.text.blank import is_blank


class ReplyText:
    """Reads the texts of one answer. `feed` and `close` yield pieces of the reply; an empty piece
    says that the model is at work and has no words yet.

    Args:
        tools: the names of the tools that are offered; without any, no text can be a call.

    Attributes:
        shows_something: something of the reply can be read.
    """

    def __init__(self, tools: Sequence[str]) -> None:
        self._guard = LeakGuard(tools) if tools else None
        self._joiner = SurrogateJoiner()
        self._thoughts = ThoughtFilter()
        self.shows_something = False

    def feed(self, text: str) -> Iterator[str]:
        """Yield what of a text is spoken by now."""
        yield from self._show(self._thoughts.feed(self._joiner.feed(text)))

    def mute(self) -> None:
        """Leave out what follows: what a server says after a call is often the call again."""
        if self._guard is not None:
            self._guard.mute()

    def close(self, *, calls_tool: bool) -> Iterator[str]:
        """Yield the rest.

        Args:
            calls_tool: whether the answer has calls.

        Raises:
            LeakedCall: the text is a call, and there is no other.
        """
        yield from self._show(self._thoughts.feed(self._joiner.flush()) + self._thoughts.flush())
        if self._guard is not None:
            yield from self._speak(self._guard.flush())
            if self._guard.leaked and not calls_tool:
                raise LeakedCall

    def _show(self, text: str) -> Iterator[str]:
        spoken = self._guard.feed(text) if self._guard is not None and text else text
        if spoken:
            yield from self._speak(spoken)
        elif self._thoughts.thinks or text:
            yield ""

    def _speak(self, text: str) -> Iterator[str]:
        if text:
            self.shows_something = self.shows_something or not is_blank(text)
            yield text
