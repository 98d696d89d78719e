"""The language of a turn: the session's, until its user is heard to speak another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parley.protocol.messages import Settings
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.item_codec import Session


class TurnLanguage:
    """What a turn knows of its language, and what follows from it.

    Args:
        session: the session as it was when the turn began.

    Attributes:
        settings: those in force; their language and voice follow what is heard or chosen.
        heard: the language that was heard in this turn; empty if none was that counts.
    """

    def __init__(self, policy: SettingsPolicy, session: Session) -> None:
        self._policy = policy
        self._session = session
        self._detects = policy.follows_speech(session.signed)
        self.settings = self._merge(session.heard_language)
        self.heard = ""

    @property
    def code(self) -> str:
        """The language, as ISO 639 code."""
        return str(self.settings.language or "")

    @property
    def expected(self) -> str:
        """What the transcriber is told to hear; empty if it is to find out."""
        return "" if self._detects else self.code

    @property
    def told(self) -> str | None:
        """What clients and the history are told; None where the language is not detected."""
        return self.code or None if self._detects else None

    def hear(self, code: str) -> bool:
        """Note which language was heard; return whether the session spoke another until now.

        Args:
            code: as the transcriber spells it; empty if it does not know.
        """
        self.heard = self._policy.find_heard(code, self._session.signed)
        if not self.heard or self.heard == self.code:
            return False
        self.settings = self._merge(self.heard)
        return True

    @property
    def choices(self) -> Sequence[str]:
        """The languages that the session may be set to; none if it is fixed."""
        choices = self._policy.list_choices(self._session.signed)
        return choices.languages if "language" in choices.settings else ()

    def choose(self, code: str) -> None:
        """Go on in one of the `choices`, whatever was heard."""
        settings = self._session.settings.merged_with(Settings(language=code))
        self._session = replace(self._session, settings=settings)
        self.settings, self.heard = self._merge(""), ""

    def _merge(self, heard: str) -> Settings:
        return self._policy.merge_settings(self._session.settings, self._session.signed, heard)
