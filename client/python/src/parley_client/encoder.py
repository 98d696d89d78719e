"""Turns what a client sends into frames."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import cast

from parley_client.errors import BadInput
from parley_client.messages import ClientMessage, Settings, SettingsMessage


def encode(message: ClientMessage | SettingsMessage) -> str:
    """Write a message as one JSON text frame.

    Raises:
        BadInput: it holds a number that JSON does not have.
    """
    try:
        return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise BadInput("Numbers must be finite: JSON has neither nan nor inf.") from None


def encode_audio(pcm: bytes) -> str:
    """Write audio as it goes into a message: in base64."""
    return base64.b64encode(pcm).decode("ascii")


def settings_message(settings: Settings) -> SettingsMessage:
    """Return the settings that are set."""
    found = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return cast(
        SettingsMessage, {name: value for name, value in found.items() if value is not None}
    )
