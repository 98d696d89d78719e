"""One session as the client knows it: how to open it, how to come back. A plain object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from parley_client.encoder import settings_message
from parley_client.messages import (
    PROTOCOL_VERSION,
    Init,
    Ready,
    Received,
    Settings,
    SettingsMessage,
)


class Session:
    """A session that is to be opened, or has been.

    Args:
        settings: what to ask for when it is opened.
        agent: whom to ask for then; None leaves it to the deployment.
        tools: the names of the application's functions.
    """

    def __init__(
        self, settings: SettingsMessage, agent: str | None = None, tools: Sequence[str] = ()
    ) -> None:
        self.ready: Ready | None = None
        """What the server said last; None before it has said anything."""
        self._resumable = False
        self.settings = Settings()
        """Every setting in force."""
        self.agent = agent
        """Whom it is with; None where the deployment has one only."""
        self._wanted = settings
        self._wanted_agent = agent
        self._tools = list(tools)
        self._lost: str | None = None

    def init(self, received: Received | None) -> Init:
        """The first message on a connection: opens the session or comes back to it."""
        init: Init = {"type": "init", "protocol": PROTOCOL_VERSION}
        if self._tools:
            init["tools"] = self._tools
        if self.ready is None or not self._resumable:
            if self._wanted:
                init["settings"] = self._wanted
            if self._wanted_agent is not None:
                init["agent"] = self._wanted_agent
            return init
        init["session_id"] = self.ready.session_id
        # Each `ready` brings the next token. Was one lost on its way, the server
        # accepts the one before it too.
        init["resume_token"] = self.ready.resume_token
        if received is not None:
            init["received"] = received
        return init

    def opened(self, ready: Ready) -> str | None:
        """The server has answered. Returns the id of the session that this one
        takes the place of, if one was lost."""
        replaced, self._lost = self._lost, None
        self.ready = ready
        self._resumable = True
        self.settings = ready.settings
        self.agent = ready.agent or self.agent
        return replaced

    def configured(self, settings: Settings) -> None:
        """New settings are in force."""
        self.settings = settings

    def lost(self) -> None:
        """The server no longer has it: the next `init` opens a new one, with these settings."""
        if self.ready is not None:
            self._lost = self.ready.session_id
            self._wanted = self._choosable(settings_message(self.settings))
            self._resumable = False

    def _choosable(self, settings: SettingsMessage) -> SettingsMessage:
        """Of the settings in force, those that a client may set: the others are refused."""
        choices = self.ready.choices if self.ready is not None else None
        if choices is None:
            return settings
        kept = {name: value for name, value in settings.items() if name in choices.settings}
        return cast(SettingsMessage, kept)
