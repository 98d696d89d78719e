"""The few questions that matter, and what they are answered with if nobody can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.console import Console
from deploy.errors import DeployError, MissingAnswers
from deploy.parameters import SECRETS, Parameters

REMOVED = "-"
"""What is typed instead of a key to have none."""
_MODES = """Who may connect?
  off     everybody who knows the URL, at your expense
  secret  who has a token that your own backend signed
  oidc    who has a token of an issuer such as Cognito or Auth0"""


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks for what is neither given nor stored.

    Attributes:
        given: values from files and the command line: nothing is asked about them.
        stored: values of the stack that is there, secrets without their value; empty if it
            is a new one.
        environment: variables, of which some give secrets.
    """

    console: Console
    parameters: Parameters
    given: Mapping[str, str]
    stored: Mapping[str, str]
    environment: Mapping[str, str]

    def answers(self) -> dict[str, str]:
        """Return the values to deploy with; a parameter that is not among them keeps its value.

        Raises:
            MissingAnswers: nobody can be asked for what is needed.
            DeployError: a value that is given is not allowed.
        """
        found = self.parameters.checked(self.given)
        from_environment = {
            name: self.environment[variable]
            for name, variable in SECRETS.items()
            if self.environment.get(variable) and name not in found
        }
        for name, value in from_environment.items():
            if wrong := self.parameters.wrong(name, value):
                raise DeployError(f"{SECRETS[name]} in the environment: {wrong}")
        if not self.console.interactive:
            found |= from_environment
            self._demand(found)
            return found
        for name, question in (
            ("ElevenLabsApiKey", "ElevenLabs API key"),
            ("LlmApiKey", "API key of the language model"),
        ):
            if name not in found:
                found |= self._key(name, question, from_environment.get(name))
        self._ask_who_may_connect(found)
        if self.effective(found, "AuthMode") == "secret" and "AuthSecret" in from_environment:
            found["AuthSecret"] = from_environment["AuthSecret"]
        return found

    def effective(self, found: Mapping[str, str], name: str) -> str:
        """Return the value that a parameter will have; empty or `****` for secrets that are
        stored."""
        return found.get(name, self.stored.get(name, self.parameters.default(name)))

    def all_effective(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the values that all parameters will have, with something else for secrets."""
        declared = self.parameters.declared
        return {
            name: "x" * 32 if self.parameters.is_secret(name) else self.effective(found, name)
            for name in declared
        }

    def _demand(self, found: Mapping[str, str]) -> None:
        """See that nothing is missing that somebody would have been asked for."""
        missing = []
        if not self.effective(found, "ElevenLabsApiKey"):
            missing.append("ELEVENLABS_API_KEY in the environment")
        if self.effective(found, "AuthMode") == "oidc":
            missing += [
                f"PARAMETERS='{name}=…'"
                for name in ("AuthIssuer", "AuthAudience")
                if not self.effective(found, name)
            ]
        if missing:
            raise MissingAnswers(
                f"Nobody can be asked here: there is no terminal. Missing: {', '.join(missing)}."
            )

    def _key(self, name: str, question: str, from_environment: str | None) -> dict[str, str]:
        """Return a key that is typed; nothing if the stored one stays."""
        may_be_empty = "Default" in self.parameters.declared[name]
        is_stored = name in self.stored
        notes = ["hidden"]
        if from_environment:
            notes.append(f"Enter takes {SECRETS[name]}")
        elif is_stored:
            notes.append("Enter keeps the stored one")
        elif may_be_empty:
            notes.append("may stay empty")
        if may_be_empty and (is_stored or from_environment):
            notes.append(f"{REMOVED} for none")

        def chosen(answer: str) -> str | None:
            if answer == REMOVED and may_be_empty:
                return ""
            if answer or (is_stored and not from_environment):
                return answer or None
            return from_environment or ""

        def wrong(answer: str) -> str | None:
            value = chosen(answer)
            return None if value is None else self.parameters.wrong(name, value)

        value = chosen(self.console.ask_hidden(f"{question} ({'; '.join(notes)})", wrong))
        return {} if value is None else {name: value}

    def _ask_who_may_connect(self, found: dict[str, str]) -> None:
        if "AuthMode" not in found:
            self.console.say(_MODES)
            choices = [str(each) for each in self.parameters.declared["AuthMode"]["AllowedValues"]]
            usual = self.effective(found, "AuthMode")
            found["AuthMode"] = self.console.choose("Who may connect", choices, usual)
        if found["AuthMode"] == "oidc":
            self._ask(found, "AuthIssuer", "Issuer, as its tokens name it in iss", needed=True)
            self._ask(found, "AuthAudience", "Audience of its tokens (aud)", needed=True)
        self._ask(found, "AllowedOrigins", "Pages that may connect (* or https://…, …)")

    def _ask(
        self, found: dict[str, str], name: str, question: str, *, needed: bool = False
    ) -> None:
        if name in found and (found[name] or not needed):
            return

        def wrong(answer: str) -> str | None:
            if needed and not answer:
                return "It is needed."
            return self.parameters.wrong(name, answer)

        found[name] = self.console.ask(question, self.effective(found, name), wrong)
