"""The few questions that matter, and what they are answered with if nobody can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.choice import FALLBACK, VOICE, Choice, outdated
from deploy.console import Console
from deploy.errors import DeployError, MissingAnswers
from deploy.parameters import SECRETS, Parameters

REMOVED = "-"
"""What is typed instead of a key to have none."""
_MODES = """Who may connect?
  off     everybody who knows the URL, at your expense
  secret  who has a token that your own backend signed
  oidc    who has a token of an issuer such as Cognito or Auth0"""
_WHO = {
    "Transcriber": "Who transcribes",
    "Responder": "Who replies",
    "Synthesizer": "Who speaks",
}
_TEXTS = {
    "ElevenLabsApiKey": "ElevenLabs API key",
    "CartesiaApiKey": "Cartesia API key",
    "DeepgramApiKey": "Deepgram API key",
    "AnthropicApiKey": "Anthropic API key",
    "LlmBaseUrl": "Production URL of n8n's webhook",
    "LlmModel": "Model, by its provider's id",
    "LlmApiKey": "API key of the language model",
    "N8nHeaderValue": "n8n's header value, such as Bearer and a token",
    "SpeechBaseUrl": "Address of the speech server, up to and without /audio/speech",
    "SpeechApiKey": "API key of the speech server",
    "TranscriptionBaseUrl": "Address of the transcription server (nothing for OpenAI's)",
    "TranscriptionApiKey": "API key of the transcription server",
    VOICE: "Voice, by the synthesizer's id",
}
"""How a value is asked for."""


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
        if self.console.interactive:
            self._ask_for_providers(found)
        found |= self._anew(found)
        choice = Choice(self.told(found))
        used = {*choice.needed(), *choice.optional()}
        from_environment = {
            name: value
            for name, value in from_environment.items()
            if name in used or name == "AuthSecret"
        }
        if not self.console.interactive:
            found |= from_environment
            self._demand(found)
            return found
        for name in self._in_order(choice):
            needed = name in choice.needed()
            if not self.parameters.is_secret(name):
                self._ask(found, name, _text(name), needed=needed)
            elif name not in found:
                found |= self._key(name, from_environment.get(name), needed=needed)
        self._ask_who_may_connect(found)
        if self.effective(found, "AuthMode") == "secret" and "AuthSecret" in from_environment:
            found["AuthSecret"] = from_environment["AuthSecret"]
        return found

    def _ask_for_providers(self, found: dict[str, str]) -> None:
        for name, question in _WHO.items():
            if name not in found:
                choices = [str(each) for each in self.parameters.declared[name]["AllowedValues"]]
                usual = self.effective(found, name)
                shown = f"{question} ({', '.join(choices)})"
                found[name] = self.console.choose(shown, choices, usual)

    def _anew(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the defaults of what the stored stack has for a provider that is not chosen any
        more."""
        if not self.stored:
            return {}
        gone = outdated(self.told({}), self.told(found))
        changed = [name for name in gone if name not in found and self.stored.get(name)]
        anew = {name: self.parameters.default(name) for name in changed}
        anew = {name: value for name, value in anew.items() if value != self.stored[name]}
        if anew:
            self.console.say(
                f"Another provider: {', '.join(anew)} of the former one do not hold any more."
            )
        return anew

    def _in_order(self, choice: Choice) -> list[str]:
        """Return what to ask for, an address before its key."""
        wanted = {*choice.needed(), *choice.optional()}
        return [
            *(name for name in _TEXTS if name in wanted),
            *(name for name in self.parameters.declared if name in wanted and name not in _TEXTS),
        ]

    def told(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the values that all parameters will have; empty or `****` for secrets that are
        stored."""
        return {name: self.effective(found, name) for name in self.parameters.declared}

    def _is_missing(self, found: Mapping[str, str], name: str) -> bool:
        """Return whether a needed value is not there."""
        if self.parameters.is_secret(name) and name not in found:
            return not self._is_stored(name)
        value = self.effective(found, name)
        return not value or self._is_another_vendors(name, value)

    def _is_stored(self, name: str) -> bool:
        """Return whether the stack has a key. CloudFormation does not tell an empty one from
        another, so one counts that its providers have a use for."""
        before = Choice(self.told({}))
        return name in self.stored and name in {*before.needed(), *before.optional()}

    def _is_another_vendors(self, name: str, value: str) -> bool:
        """Return whether it is the template's voice, which is asked for where nobody else has
        it."""
        return name == VOICE and value == self.parameters.default(VOICE)

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
        missing = [
            f"{SECRETS[name]} in the environment" if name in SECRETS else f"PARAMETERS='{name}=…'"
            for name in Choice(self.told(found)).needed()
            if self._is_missing(found, name)
        ]
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

    def _key(self, name: str, from_environment: str | None, *, needed: bool) -> dict[str, str]:
        """Return a key that is typed; nothing if the stored one stays."""
        is_stored = self._is_stored(name)
        notes = ["hidden"]
        if from_environment:
            notes.append(f"Enter takes {SECRETS[name]}")
        elif is_stored:
            notes.append("Enter keeps the stored one")
        elif not needed:
            notes.append("may stay empty")
        if not needed and (is_stored or from_environment):
            notes.append(f"{REMOVED} for none")

        def chosen(answer: str) -> str | None:
            if answer == REMOVED and not needed:
                return ""
            if answer or (is_stored and not from_environment):
                return answer or None
            return from_environment or ""

        def wrong(answer: str) -> str | None:
            value = chosen(answer)
            if needed and value == "":
                return "It is needed."
            return None if value is None else self.parameters.wrong(name, value)

        value = chosen(self.console.ask_hidden(f"{_text(name)} ({'; '.join(notes)})", wrong))
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
        if name in self.given and (self.given[name] or not needed):
            return
        usual = self.effective(found, name)
        if self._is_another_vendors(name, usual):
            usual = ""

        def wrong(answer: str) -> str | None:
            if needed and not answer:
                return "It is needed."
            if self._is_another_vendors(name, answer):
                return f"{answer} is a voice of ElevenLabs."
            return self.parameters.wrong(name, answer)

        found[name] = self.console.ask(question, usual, wrong)


def _text(name: str) -> str:
    """Return how a value is asked for."""
    if name in _TEXTS:
        return _TEXTS[name]
    first = name.removeprefix(FALLBACK)
    return f"{_TEXTS[first]}, of the second provider" if first in _TEXTS else name
