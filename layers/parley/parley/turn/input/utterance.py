"""Put the chunks of a running turn's utterance in order, however they arrive.

API Gateway may run one connection's messages concurrently, so a chunk can come
before its `audio_start` and `audio_end` before the last chunks.
"""

from __future__ import annotations

from parley.storage.inbox_entries import ChunkEntry, EndEntry


class Utterance:
    """Put the chunks of one utterance in order, once each."""

    def __init__(self) -> None:
        self._early: dict[int, bytes] = {}
        self._next_seq = 1
        self._newest_seq = 0
        self._announced: int | None = None
        self._surplus: set[int] = set()

    @property
    def next_seq(self) -> int:
        """The first chunk that has not arrived."""
        return self._next_seq

    @property
    def newest_seq(self) -> int:
        """The last chunk that has arrived, whatever is missing before it."""
        return self._newest_seq

    @property
    def ended(self) -> bool:
        """Whether `audio_end` has arrived."""
        return self._announced is not None

    @property
    def complete(self) -> bool:
        """Whether everything that was announced has arrived."""
        return self._announced is not None and self._next_seq > self._announced

    def is_new(self, chunk: ChunkEntry) -> bool:
        """Return whether a chunk has not arrived before."""
        return chunk.seq >= self._next_seq and chunk.seq not in self._early

    def add(self, chunk: ChunkEntry) -> list[bytes]:
        """Take a chunk; return the audio that is now next in order."""
        if chunk.seq < self._next_seq:
            return []
        self._newest_seq = max(self._newest_seq, chunk.seq)
        if self._announced is not None and chunk.seq > self._announced:
            self._surplus.add(chunk.seq)
            return []
        self._early[chunk.seq] = chunk.audio
        return self._take_ready()

    def skip_gap(self) -> list[bytes]:
        """Give up on what is missing first; return the audio that is next then."""
        self._next_seq = min(self._early)
        return self._take_ready()

    def _take_ready(self) -> list[bytes]:
        ready: list[bytes] = []
        while (audio := self._early.pop(self._next_seq, None)) is not None:
            ready.append(audio)
            self._next_seq += 1
        return ready

    def end(self, entry: EndEntry) -> None:
        """Take `audio_end`. The first one counts."""
        if self._announced is not None:
            return
        self._announced = entry.chunks
        for seq in [seq for seq in self._early if seq > entry.chunks]:
            del self._early[seq]
            self._surplus.add(seq)
        # These were next in order and have been handed on: they can only be reported.
        self._surplus.update(range(entry.chunks + 1, self._next_seq))

    @property
    def announced(self) -> int | None:
        """How many chunks `audio_end` announced."""
        return self._announced

    def missing(self) -> list[int]:
        """Return the announced chunks that have not arrived."""
        last = self._announced if self._announced is not None else max(self._early, default=0)
        return [seq for seq in range(self._next_seq, last + 1) if seq not in self._early]

    def surplus(self) -> list[int]:
        """Return the chunks beyond what `audio_end` announced."""
        return sorted(self._surplus)

    def take_rest(self) -> list[bytes]:
        """Give up on what is missing; return the chunks that came after the gaps, in order."""
        rest = [self._early[seq] for seq in sorted(self._early)]
        self._early.clear()
        return rest
