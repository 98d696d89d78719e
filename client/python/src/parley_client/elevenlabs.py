"""Speech for the demo's questions, from ElevenLabs or whatever speaks its protocol.

One call of `POST /v1/text-to-speech/{voice_id}/stream` per question. The client
itself needs no synthesizer; the replies' speech comes from the server.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Final

from parley_client.errors import BadInput, ParleyClientError

DEFAULT_URL = "https://api.elevenlabs.io"
DEFAULT_VOICE = "JBFqnCBsd6RMkjVDRZzb"
"""The voice of ElevenLabs' own quickstart."""
MODEL = "eleven_flash_v2_5"
FORMAT: Final = "pcm_16000"
KEY_VARIABLE = "ELEVENLABS_API_KEY"
TIMEOUT_S = 30.0


class SpeechUnavailable(ParleyClientError):
    """A question could not be synthesised."""

    code = "speech_unavailable"


def synthesise(text: str, *, url: str, key: str, voice: str) -> bytes:
    """The text as speech: mono 16-bit PCM at 16 kHz. Blocks until it is all there.

    Raises:
        BadInput: that is no key, or no URL.
        SpeechUnavailable: with what to do about it.
    """
    if not (key.isascii() and key.isprintable()):
        raise BadInput(f"The key in {KEY_VARIABLE} has characters that no key has.")
    try:
        pcm = _ask(text, url=url, key=key, voice=voice)
    except urllib.error.HTTPError as refused:
        with refused:
            raise SpeechUnavailable(_explain(refused.code, refused.read(), url, voice)) from None
    except (OSError, http.client.HTTPException) as failed:
        why = getattr(failed, "reason", None) or failed
        raise SpeechUnavailable(f"{url} could not be asked to speak: {why}.") from None
    except ValueError:
        raise BadInput(f"{url!r} is not the URL of an HTTP API.") from None
    if not pcm:
        raise SpeechUnavailable(f"{url} made no sound of {text!r}.")
    return pcm[: len(pcm) - len(pcm) % 2]


def _ask(text: str, *, url: str, key: str, voice: str) -> bytes:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(url)
    request = urllib.request.Request(  # noqa: S310  # the scheme was checked above
        f"{url.rstrip('/')}/v1/text-to-speech/{urllib.parse.quote(voice, safe='')}/stream"
        f"?output_format={FORMAT}",
        data=json.dumps({"text": text, "model_id": MODEL}).encode(),
        headers={"xi-api-key": key, "Content-Type": "application/json"},
        method="POST",
    )
    # The scheme was checked above.
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # nosec B310
        pcm: bytes = answer.read()
    return pcm


def _explain(status: int, body: bytes, url: str, voice: str) -> str:
    code, said = _detail(body)
    because = f": {said}" if said else ""
    if "quota" in code:  # comes as 401 too
        return f"The ElevenLabs quota is used up (HTTP {status}){because}"
    if status in (401, 403):
        return (
            f"{url} refused the key in {KEY_VARIABLE} (HTTP {status}){because}. "
            f"Set {KEY_VARIABLE} to a valid one."
        )
    if status == 404:
        return f"{url} has no voice {voice!r} (HTTP 404){because}. Choose one with --voice."
    if status == 429:
        return f"{url} is busy (HTTP 429){because}. Try again in a while."
    return f"{url} could not speak (HTTP {status}){because}."


def _detail(body: bytes) -> tuple[str, str]:
    """Code and sentence of an error body, in any of the shapes the API uses."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError):
        return "", ""
    if isinstance(detail, list):
        detail = {
            "message": "; ".join(str(e.get("msg", "")) for e in detail if isinstance(e, dict))
        }
    if not isinstance(detail, dict):
        return "", str(detail)
    code = str(detail.get("code") or detail.get("status") or "")
    return code, str(detail.get("message") or "").rstrip(".")
