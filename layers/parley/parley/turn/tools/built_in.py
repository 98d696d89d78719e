"""Tools that change the turn or the session itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from parley.protocol.messages import Settings
from parley.tools.tool import Answer, Invocation, ToolFailed, ToolSpec
from parley.turn.context import TurnContext
from parley.turn.language import TurnLanguage


class BuiltInTools:
    """Runs the built-in tools of one turn.

    Args:
        language: the turn's.
        change_voice: speaks the rest of the reply with other settings.

    Attributes:
        ends_session: whether the session ends with this turn.
        skips_turn: whether nothing is to be said until the user speaks again.
    """

    def __init__(
        self, turn: TurnContext, language: TurnLanguage, change_voice: Callable[[Settings], None]
    ) -> None:
        self._turn = turn
        self._language = language
        self._change_voice = change_voice
        self.ends_session = False
        self.skips_turn = False

    @property
    def is_silent(self) -> bool:
        """Whether a reply without a word is one."""
        return self.skips_turn or self.ends_session

    def note_done(self, spec: ToolSpec) -> None:
        """Note that a tool was called, in this attempt at the turn or in an earlier one."""
        self.ends_session = self.ends_session or spec.target == "end_session"
        self.skips_turn = self.skips_turn or spec.target == "skip_turn"

    async def call(self, spec: ToolSpec, invocation: Invocation) -> Answer:
        """Run a built-in tool.

        Raises:
            ToolFailed: it could not be done.
        """
        self.note_done(spec)
        if spec.target == "end_session":
            return Answer("The session ends after this reply. Say goodbye in one short sentence.")
        if spec.target == "skip_turn":
            return Answer("Nothing is said until the user speaks again.")
        return await self._set_language(str(invocation.arguments.get("language", "")))

    async def _set_language(self, language: str) -> Answer:
        allowed = self._language.choices
        if not allowed:
            raise ToolFailed("refused", acted=False, told="The language is fixed for this user.")
        if language not in allowed:
            raise ToolFailed("refused", acted=False, told=f"Expected one of {', '.join(allowed)}.")
        await asyncio.to_thread(
            self._turn.services.sessions.change_settings,
            self._turn.request.session,
            Settings(language=language),
        )
        self._language.choose(language)
        self._change_voice(self._language.settings)
        return Answer(f"From now on the conversation is in {language}. Reply in it.")
