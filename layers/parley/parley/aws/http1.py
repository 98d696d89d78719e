"""Answers of HTTP/1.1, parsed from bytes as they come. No socket is in here.

It reads what the APIs of AWS send, and refuses everything else: no upgrades, no trailers that
mean anything, no compression.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
"""More than any service sends before an answer's body."""
MAX_BODY_BYTES = 32 * 1024 * 1024
"""The largest answer is `BatchGetItem`'s, with 16 MB of items ("Quotas in Amazon DynamoDB")."""
MAX_DIGITS = 16
"""Of a length: Python itself reads no more than 4,300."""
_HEAD_END = b"\r\n\r\n"


class MalformedAnswer(Exception):
    """What came is not an answer of HTTP/1.1, or is too large."""


class Answer(NamedTuple):
    """An answer.

    Attributes:
        headers: by name in lower case; of a name that comes twice, the last value.
        reusable: whether the connection can carry another request.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


class AnswerParser:
    """Parses the answer to one request."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: tuple[int, dict[str, str], bool] | None = None

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._data) or self._head is not None

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes. Return the answer when it is whole.

        Raises:
            MalformedAnswer: this is none.
        """
        self._data += data
        while self._head is None:
            end = self._data.find(_HEAD_END)
            if end < 0:
                if len(self._data) > MAX_HEAD_BYTES:
                    raise MalformedAnswer
                return None
            head = _parse_head(bytes(self._data[:end]))
            del self._data[: end + len(_HEAD_END)]
            if head[0] >= 200:  # what comes before only says that the answer is to come
                self._head = head
        return self._answer(self._head, at_end=False)

    def end(self) -> Answer:
        """Return the answer that the end of the connection ends.

        Raises:
            MalformedAnswer: it is not whole.
        """
        found = None if self._head is None else self._answer(self._head, at_end=True)
        if found is None:
            raise MalformedAnswer
        return found

    def _answer(self, head: tuple[int, dict[str, str], bool], *, at_end: bool) -> Answer | None:
        status, headers, persists = head
        data = self._data
        if len(data) > MAX_BODY_BYTES:
            raise MalformedAnswer
        if status in (204, 304):
            return Answer(status, headers, b"", persists and not data)
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                raise MalformedAnswer
            found = _join_chunks(data)
            if found is None:
                return None
            body, length = found
            return Answer(status, headers, body, persists and length == len(data))
        if "content-length" in headers:
            length = _parse_number(headers["content-length"], 10)
            if len(data) < length:
                return None
            # What comes after the answer belongs to none: nothing may be read from there again.
            reusable = persists and len(data) == length
            return Answer(status, headers, bytes(data[:length]), reusable)
        return Answer(status, headers, bytes(data), reusable=False) if at_end else None


def _parse_head(head: bytes) -> tuple[int, dict[str, str], bool]:
    """Return status, headers, and whether the connection is to persist."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
        raise MalformedAnswer
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedAnswer
        name, value = name.lower(), value.strip()
        if name == "content-length" and headers.get(name, value) != value:
            raise MalformedAnswer
        headers[name] = value
    connection = headers.get("connection", "").lower()
    persists = connection != "close" if version == "HTTP/1.1" else connection == "keep-alive"
    return int(status), headers, persists


def _join_chunks(data: bytearray) -> tuple[bytes, int] | None:
    """Return a chunked body and the bytes that it takes; None if it is not whole."""
    body, at = bytearray(), 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = _parse_number(bytes(data[at:end]).decode("latin-1").partition(";")[0].strip(), 16)
        at = end + 2
        if size == 0:
            break
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise MalformedAnswer
        body += data[at : at + size]
        at += size + 2
    while True:  # trailers, which say nothing here
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        if end == at:
            return bytes(body), end + 2
        at = end + 2


def _parse_number(text: str, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not 0 < len(text) <= MAX_DIGITS or any(each not in digits for each in text.lower()):
        raise MalformedAnswer
    return int(text, base)
