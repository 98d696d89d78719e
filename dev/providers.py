"""Which services a run uses: the real ones whose keys are in the environment, or stand-ins."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException

from dev.errors import CannotRun
from dev.services import MODELS, SERVICES, URLS, Service

STANDIN_KEY = "standin-key"
CHOOSERS = {"Transcriber": "transcriber", "Responder": "responder", "Synthesizer": "synthesizer"}
"""The template's parameters that choose a provider, and the stages."""
USUAL = {"Transcriber": "elevenlabs", "Responder": "openai_chat", "Synthesizer": "elevenlabs"}
FALLBACK = "Fallback"
_OF_STAGES = ("LlmApiKey", "SpeechApiKey", "TranscriptionApiKey")
"""Keys of which the second provider of a stage has one of its own."""


def variable(parameter: str) -> str:
    """Return the environment variable of a parameter: `VoiceId` is `VOICE_ID`.

    `LANGUAGE` is gettext's, which many desktops set (`en_US:en`): Parley's is another.
    """
    if parameter == "Language":
        return "SPOKEN_LANGUAGE"
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
    return name.replace("ELEVEN_LABS", "ELEVENLABS")


@dataclass(frozen=True)
class Used:
    """A provider that is used.

    Attributes:
        prefix: `Fallback` if it takes over when the first one fails.
        key: empty if there is none.
        url: empty for the provider's own address.
        is_real: whether nothing stands in for it.
    """

    prefix: str
    stage: str
    name: str
    service: Service
    key: str
    url: str
    is_real: bool

    @property
    def key_parameter(self) -> str:
        """The template's parameter of its key; empty if it has none."""
        key = self.service.key
        return self.prefix + key if key in _OF_STAGES else key

    @property
    def url_parameter(self) -> str:
        """The template's parameter of its address."""
        return self.service.url or self.prefix + URLS[self.stage]

    @property
    def wanted(self) -> str:
        """The variable that makes it the real one; empty if none does."""
        if self.service.key and (self.service.address or not self.service.is_had_by_url):
            return variable(self.key_parameter)
        return variable(self.url_parameter) if self.service.is_had_by_url else ""

    @property
    def paid_by(self) -> str:
        """The variable by which a conversation costs something; empty if it does not."""
        if not self.is_real:
            return ""
        if self.key:
            return variable(self.key_parameter)
        return variable(self.url_parameter) if self.name == "n8n" else ""  # it may send mails


@dataclass(frozen=True)
class Providers:
    """Which services are used: the real ones or the stand-ins."""

    used: tuple[Used, ...]
    voice: str

    @classmethod
    def chosen(cls, environment: Mapping[str, str], choice: Mapping[str, str]) -> Providers:
        """What is asked for.

        Args:
            choice: names of providers, by the template's parameters; the usual one if there is
                none.

        Raises:
            CannotRun: the voice is none of the synthesizer's.
        """
        used = tuple(_used(environment, choice))
        (speaks,) = (each for each in used if each.stage == "synthesizer" and not each.prefix)
        voice = environment.get("VOICE_ID", "")
        usual = SERVICES["synthesizer", "elevenlabs"].voice
        if speaks.name != "elevenlabs" and (voice == usual or (speaks.is_real and not voice)):
            raise CannotRun(f"{speaks.service.called} speaks. Set VOICE_ID to one of its voices.")
        return cls(used, voice or speaks.service.voice)

    def __getitem__(self, parameter: str) -> Used:
        """The provider that a parameter such as `Transcriber` has chosen."""
        (found,) = (e for e in self.used if not e.prefix and e.stage == CHOOSERS[parameter])
        return found

    @property
    def stand_ins(self) -> list[str]:
        """The stages whose provider stands in for a real one."""
        return list(dict.fromkeys(each.stage for each in self.used if not each.is_real))

    @property
    def paid_by(self) -> list[str]:
        """The variables by which a conversation costs something."""
        return list(dict.fromkeys(each.paid_by for each in self.used if each.paid_by))

    def parameters(self, standins: Mapping[str, str]) -> dict[str, str]:
        """Return values of the template's parameters, keys among them.

        Args:
            standins: addresses of the stand-ins, by name.

        Raises:
            CannotRun: nobody stands in for one of them.
        """
        given = {"VoiceId": self.voice, "StandIns": ",".join(self.stand_ins)}
        for each in self.used:
            chooser = next(name for name, stage in CHOOSERS.items() if stage == each.stage)
            given[each.prefix + chooser] = each.name
            if each.key_parameter:
                given[each.key_parameter] = each.key
            url = each.url if each.is_real else _standin_url(each, standins)
            if url:
                given[each.url_parameter] = url
            if each.service.model and not each.is_real:
                given[each.prefix + MODELS[each.stage]] = each.service.model
            if each.prefix and each.service.voice and not each.is_real:
                given[each.prefix + "VoiceId"] = each.service.voice
        return given

    @property
    def asked(self) -> dict[str, Used]:
        """The real services that can say whether they take the key, by the URL that says it."""
        return {
            (each.url or each.service.address).rstrip("/") + each.service.models: each
            for each in reversed(self.used)
            if each.is_real and each.service.models
        }

    def check(self) -> None:
        """Ask the real services whether they take the keys.

        Raises:
            CannotRun: one does not, or cannot be reached.
        """
        for url, each in self.asked.items():
            _check(url, each)


def _used(environment: Mapping[str, str], choice: Mapping[str, str]) -> Iterator[Used]:
    for prefix in ("", FALLBACK):
        for parameter, stage in CHOOSERS.items():
            name = choice.get(prefix + parameter) or ("" if prefix else USUAL[parameter])
            if not name:
                continue
            if (stage, name) not in SERVICES:
                raise CannotRun(f"{variable(prefix + parameter)}: there is no provider {name}.")
            service = SERVICES[stage, name]
            found = Used(prefix, stage, name, service, "", "", is_real=False)
            key = environment.get(variable(found.key_parameter), "") if service.key else ""
            url = environment.get(variable(found.url_parameter), "")
            is_real = bool(url and service.is_had_by_url) or bool(key and service.address)
            if not is_real:
                key = STANDIN_KEY if service.key else ""
                yield Used(prefix, stage, name, service, key, "", is_real=False)
            else:
                yield Used(prefix, stage, name, service, key, url, is_real=True)


def _standin_url(used: Used, standins: Mapping[str, str]) -> str:
    if used.service.standin not in standins:
        hint = f" Set {used.wanted}." if used.wanted else " It runs where Parley is deployed."
        raise CannotRun(f"Nothing stands in for {used.name} ({used.stage}).{hint}")
    return standins[used.service.standin] + used.service.path


def _check(url: str, used: Used) -> None:
    who, name = used.service.called, variable(used.key_parameter)
    if not url.startswith(("http://", "https://")):
        raise CannotRun(f"{url} is no http or https URL. Set {variable(used.url_parameter)}.")
    headers = {k: v.format(used.key) for k, v in used.service.headers} if used.key else {}
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "parley", **headers})  # noqa: S310 - checked above
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  # nosec B310  # checked
    except urllib.error.HTTPError as error:
        with error:
            code = error.code
        if code in (401, 403):
            raise CannotRun(
                f"{who} refused the key in {name} (HTTP {code}). Set a valid one, or "
                f"unset it to use the stand-in."
            ) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise CannotRun(f"{who} cannot be reached at {url}: {reason}.") from None
    except (ValueError, HTTPException):  # whose text may hold the key
        raise CannotRun(
            f"{who} cannot be asked: {url} is no URL, or {name} has characters that no key has."
        ) from None
