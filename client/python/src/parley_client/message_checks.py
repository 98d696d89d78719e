"""Refuses what cannot be sent, before the server or the gateway would."""

from __future__ import annotations

from parley_client.encoder import encode
from parley_client.errors import BadInput
from parley_client.messages import ClientMessage, SettingsMessage


def check_text(text: str, max_chars: int, *, act: str = "say", done: str = "said") -> None:
    """Refuse a text that is empty or too long.

    Args:
        act: what is to be done with it.
        done: the same, as a participle.

    Raises:
        BadInput: its sentence says which.
    """
    if not text.strip():
        raise BadInput(f"There is nothing to {act}: the text is empty.")
    if len(text) > max_chars:
        raise BadInput(
            f"The text has {len(text):,} characters; at most {max_chars:,} can be {done} at once."
        )


def check_size(message: ClientMessage, max_bytes: int, what: str) -> None:
    """Refuse a message for which API Gateway would close the connection (1009).

    Args:
        what: the message's larger part, for a person.

    Raises:
        BadInput: it is too large, or holds half a character.
    """
    size = size_of(message, what)
    if size > max_bytes:
        raise BadInput(
            f"The {what} makes a message of {size:,} bytes; at most {max_bytes:,} can be sent."
        )


def size_of(message: ClientMessage | SettingsMessage, what: str) -> int:
    """Return how many bytes go over the wire.

    Raises:
        BadInput: a frame of it would be no UTF-8, which ends a connection.
    """
    try:
        return len(encode(message).encode())
    except UnicodeEncodeError:
        raise BadInput(f"There is half a character (a lone surrogate) in the {what}.") from None
