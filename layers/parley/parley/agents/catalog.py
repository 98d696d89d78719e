"""The agents of a deployment, and which one a session has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from parley.agents.agent import Agent
from parley.agents.file import AgentFile, AgentFiles
from parley.agents.variables import fill_variables
from parley.errors import ConfigurationError, ParleyError
from parley.protocol.agent_overrides import AgentOverrides
from parley.protocol.messages import Choices
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.item_codec import Session

MAX_LOGGED = 1_000
_NO_FILE = AgentFile()


def _log_nothing(_event: str, _fields: dict[str, Any]) -> None:
    """Log nothing."""


class AgentCatalog:
    """The agents of a deployment.

    Args:
        instructions: of the agent that the deployment's variables describe.
        policy: which settings hold.
        greeting: of that agent; empty for none.
        files: describe the others.
        log: told about trouble; takes an event name and fields.
        clock: the time, in s since the epoch.
    """

    def __init__(
        self,
        instructions: str,
        policy: SettingsPolicy,
        *,
        greeting: str = "",
        files: AgentFiles | None = None,
        log: Callable[[str, dict[str, Any]], None] = _log_nothing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._instructions = instructions
        self._policy = policy
        self._greeting = greeting
        self._files = files or AgentFiles()
        self._log = log
        self._clock = clock
        self._logged: set[str] = set()

    def find_agent(self, session: Session) -> Agent:
        """Return the agent of a session.

        Raises:
            ConfigurationError: the session's agent has no file any more, or an invalid one.
        """
        overrides, name = session.overrides, self.find_name(session)
        found = self._read(name)
        tools = found.tools if overrides.tools is UNSET else overrides.tools
        prompt = self._instructions if found.prompt is None else found.prompt
        greeting = self._greeting if found.greeting is None else found.greeting
        if overrides.prompt is not UNSET:
            prompt = overrides.prompt
        if overrides.greeting is not UNSET:
            greeting = overrides.greeting
        values = self._values(session, overrides) if "{{" in prompt + greeting else {}
        return Agent(
            instructions=fill_variables(prompt, values, self._note_unknown),
            greeting=fill_variables(greeting, values, self._note_unknown).strip(),
            tools=tools,
            metadata={} if overrides.metadata is UNSET else overrides.metadata,
            name=name,
            settings=found.settings,
            silence_prompts=_questions(found),
        )

    def policy_of(self, session: Session) -> SettingsPolicy:
        """Return which settings hold in a session: its agent has some of its own."""
        return self.policy_for(self.find_name(session))

    def find_name(self, session: Session) -> str:
        """Return the name of a session's agent; empty for the deployment's own."""
        return self.choose(session.agent, session.overrides)

    def choose(self, chosen: str, overrides: AgentOverrides) -> str:
        """Return the name of the agent that a client gets; empty for the deployment's own.

        Args:
            chosen: what the client chose; empty for nothing. It no longer holds if it may not.
            overrides: what a backend says.
        """
        if chosen and self._may_choose(chosen, overrides):
            return chosen
        return "" if overrides.agent is UNSET else overrides.agent

    def policy_for(self, name: str) -> SettingsPolicy:
        """Return which settings hold for an agent; empty for the deployment's own."""
        return self._policy.with_agent(self._read(name).settings) if name else self._policy

    def list_choices(self, session: Session) -> Choices:
        """Return what the client of a session may choose: settings, and agents for the next one."""
        choices = self.policy_of(session).list_choices(session.signed)
        return msgspec.structs.replace(choices, agents=self._choices(session.signed_agent))

    def check_choice(self, name: str, overrides: AgentOverrides, path: str) -> None:
        """Refuse an agent that a client may not choose.

        Args:
            overrides: what the client's token says.
            path: where the name is in the message, e.g. `init.agent`.

        Raises:
            ParleyError: `bad_request`, naming the field and what is allowed.
        """
        if not self._may_choose(name, overrides) or self._find_file(name) is None:
            # Names that are not public stay unnamed, unless the token has them.
            allowed = ", ".join(self._choices(overrides))
            rule = f"expected one of {allowed}" if allowed else "a client may choose no agent here"
            raise ParleyError("bad_request", f"{path}: {rule}.", field=path)

    def check_overrides(self, overrides: AgentOverrides, path: str) -> None:
        """Refuse overrides that name an agent which is not there.

        Args:
            path: where the name is, e.g. `agent.agent`.

        Raises:
            ParleyError: `bad_request`, naming the field.
        """
        if overrides.agent is not UNSET and self._find_file(overrides.agent) is None:
            rule = f"this deployment has no agent {overrides.agent}"
            raise ParleyError("bad_request", f"{path}: {rule}.", field=path)

    def _choices(self, overrides: AgentOverrides) -> list[str]:
        own = [] if overrides.agent is UNSET else [overrides.agent]
        if overrides.agents is not UNSET:
            return sorted({*own, *overrides.agents})
        return own or [name for name in self._files.names if self._is_public(name)]

    def _is_public(self, name: str) -> bool:
        try:
            found = self._find_file(name)
        except ConfigurationError:
            return False  # the other agents are there all the same
        return found is not None and found.public

    def _may_choose(self, name: str, overrides: AgentOverrides) -> bool:
        """Return whether a client may choose an agent: one that its token lists; if the token says
        nothing of agents, a public one."""
        if overrides.agents is not UNSET or overrides.agent is not UNSET:
            return name in self._choices(overrides)
        found = self._find_file(name)
        return found is not None and found.public

    def _read(self, name: str) -> AgentFile:
        found = self._find_file(name) if name else _NO_FILE
        if found is None:
            # Not the deployment's own agent instead: it may do what this one may not.
            wrong = ConfigurationError(f"agents/{name}.toml: not found, but a session has it.")
            self._log("agent_unusable", {"why": str(wrong)})
            raise wrong
        return found

    def _find_file(self, name: str) -> AgentFile | None:
        """Return what the file of an agent says; None if there is none. Log that it is invalid."""
        try:
            return self._files.read(name)
        except ConfigurationError as wrong:
            self._log("agent_unusable", {"why": str(wrong)})
            raise

    def _values(self, session: Session, overrides: AgentOverrides) -> dict[str, str]:
        policy = self.policy_of(session)
        settings = policy.merge_settings(session.settings, session.signed, session.heard_language)
        given = {} if overrides.variables is UNSET else overrides.variables
        date = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        return {"language": str(settings.language), "date": date, **given}

    def _note_unknown(self, name: str) -> None:
        if name not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(name)
            self._log("unknown_variable", {"variable": name})


def _questions(found: AgentFile) -> dict[str, str]:
    if found.silence_prompt is None:
        return {}
    if isinstance(found.silence_prompt, str):
        return {"": found.silence_prompt}
    return dict(found.silence_prompt)
