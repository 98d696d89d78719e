"""Which services a run uses: the real ones whose keys are in the environment, or stand-ins."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException

from dev.errors import CannotRun

ELEVENLABS_URL = "https://api.elevenlabs.io"
OPENAI_URL = "https://api.openai.com/v1"
STANDIN_KEY = "standin-key"
KEYS = ("ELEVENLABS_API_KEY", "LLM_API_KEY")


@dataclass(frozen=True)
class Providers:
    """Which services are used: the real ones or the stand-ins."""

    elevenlabs_url: str
    elevenlabs_key: str
    llm_url: str
    llm_key: str
    llm_model: str
    real_speech: bool
    real_llm: bool

    @classmethod
    def chosen(cls, environment: Mapping[str, str]) -> Providers:
        """What the environment variables ask for; URLs of stand-ins are still empty."""
        speech_key = environment.get("ELEVENLABS_API_KEY", "")
        llm_key = environment.get("LLM_API_KEY", "")
        llm_url = environment.get("LLM_BASE_URL", "")
        real_llm = bool(llm_key or llm_url)
        real_speech = bool(speech_key)
        return cls(
            elevenlabs_url=(environment.get("ELEVENLABS_BASE_URL") or ELEVENLABS_URL)
            if real_speech
            else "",
            elevenlabs_key=speech_key or STANDIN_KEY,
            llm_url=(llm_url or OPENAI_URL) if real_llm else "",
            llm_key=llm_key if real_llm else STANDIN_KEY,
            llm_model=environment.get("LLM_MODEL") or ("gpt-6-luna" if real_llm else "standin"),
            real_speech=real_speech,
            real_llm=real_llm,
        )

    def with_standins(self, elevenlabs_url: str, llm_url: str) -> Providers:
        """The same with the stand-ins' URLs where no real service was asked for."""
        return replace(
            self,
            elevenlabs_url=self.elevenlabs_url or elevenlabs_url,
            llm_url=self.llm_url or llm_url,
        )

    @property
    def stand_ins(self) -> list[str]:
        """The stages whose provider stands in for a real one."""
        speech = [] if self.real_speech else ["transcriber", "synthesizer"]
        return speech if self.real_llm else [*speech, "responder"]

    def check(self) -> None:
        """Ask the real services whether they take the keys.

        Raises:
            CannotRun: one does not, or cannot be reached.
        """
        if self.real_speech:
            _check(
                f"{self.elevenlabs_url}/v1/models",
                {"xi-api-key": self.elevenlabs_key},
                "ElevenLabs",
                "ELEVENLABS_API_KEY",
            )
        if self.real_llm:
            headers = {"Authorization": f"Bearer {self.llm_key}"} if self.llm_key else {}
            _check(f"{self.llm_url.rstrip('/')}/models", headers, "The LLM", "LLM_API_KEY")


def _check(url: str, headers: dict[str, str], who: str, variable: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise CannotRun(f"{url} is no http or https URL. Set LLM_BASE_URL or ELEVENLABS_BASE_URL.")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "parley", **headers})  # noqa: S310 - checked above
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  # nosec B310  # checked
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise CannotRun(
                f"{who} refused the key in {variable} (HTTP {error.code}). Set a valid one, or "
                f"unset it to use the stand-in."
            ) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise CannotRun(f"{who} cannot be reached at {url}: {reason}.") from None
    except (ValueError, HTTPException):  # whose text may hold the key
        raise CannotRun(
            f"{who} cannot be asked: {url} is no URL, or {variable} has characters that no key has."
        ) from None
