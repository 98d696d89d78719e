"""Sessions and their histories in the table, with the conditions that keep them consistent.

Every key is built from the session that a connection is bound to, never from what a message claims.
docs/storage.md has the layout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from parley.audio.captions import Sound
from parley.clock import now_ms, now_s
from parley.ids import ulid_ms
from parley.principal import ANONYMOUS, SessionRef, parse_owner, parse_session_id
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Message, Settings
from parley.storage.connections import ConnectionStore
from parley.storage.history import History, history_from
from parley.storage.item_codec import (
    Session,
    agent_item,
    client_tools_item,
    encode_json,
    message_key,
    number,
    owner_key,
    read_number,
    read_text,
    session_from,
    session_key,
    signed_agent_item,
    signed_item,
    sound_item,
)
from parley.storage.table import Table
from parley.storage.usage import UsageStore
from parley.storage.words import WordStore

SETTINGS_TRIES = 5
KNOWN_THERE_S = 2.0
"""How long a session that was seen counts as existing. A write after that time is followed by
another look, because the session may have been erased (see `parley.sessions.erasure`)."""
ERASED = "erased"
"""Status of a session that is being erased: nothing of it may be read or written."""
ERASED_TTL_S = 24 * 3600
"""How long the mark of an unfinished erasure stays."""

_KEPT_TO_THE_LAST = ("META", "CONNECTION#")


class SettingsContended(Exception):
    """Other writes changed the settings at every attempt to change them."""


class SessionStore:
    """Reads and writes sessions and their histories.

    Args:
        table: the table.
        session_idle_s: how long a session can be resumed after its last turn.
        max_session_s: how long a session may last; 0 for no limit.

    Attributes:
        connections: the connections, and the session that each is bound to.
        words: what backends tell sessions, and have their agents say.
        usage: what turns have used.
    """

    def __init__(self, table: Table, session_idle_s: int = 86_400, max_session_s: int = 0) -> None:
        self.connections = ConnectionStore(table)
        self.words = WordStore(table, session_idle_s)
        self.usage = UsageStore(table)
        self._table = table
        self._session_idle_s = session_idle_s
        self._max_session_s = max_session_s

    # --- sessions ---------------------------------------------------------------

    def put_session(self, session: Session) -> None:
        """Create a session. If its owner is known, one transaction adds it to the owner's list."""
        item = {
            **session_key(session.ref),
            "token_hash": {"S": session.token_hash},
            "connection": {"S": session.connection_id},
            "endpoint": {"S": session.endpoint},
            "connected_at": number(session.connected_at_ms),
            "woken_at": number(session.woken_at_ms),
            "settings": {"S": encode_json(session.settings)},
            **signed_item(session.signed),
            **signed_agent_item(session.signed_agent),
            **client_tools_item(session.client_tools),
            **agent_item(session.agent, session.backend_agent),
            "status": {"S": session.status},
            "created_at": number(now_s()),
            "resumable_until": number(self._resumable_until_s(session.ref)),
        }
        owner = parse_owner(session.ref)
        if owner == ANONYMOUS.key:
            self._table.put(item)
        else:
            self._table.put_together([item, owner_key(owner, session.session_id)])

    def resume_session(
        self,
        ref: SessionRef,
        connection_id: str,
        endpoint: str,
        *,
        connected_at_ms: int,
        shown_hash: str,
        new_hash: str,
        signed: Settings,
        signed_agent: AgentOverrides = NO_OVERRIDES,
        client_tools: Sequence[str] = (),
        woken_at_ms: int = 0,
    ) -> Session | None:
        """Move a session to a new connection and rotate its token.

        The token that was shown stays good until the new one is shown, because a client whose
        connection broke before the new one arrived has no other.

        Args:
            ref: the session.
            connection_id: the new connection.
            endpoint: base URL of its `@connections` API.
            connected_at_ms: when the new connection was opened.
            shown_hash: SHA-256 of the token that the client has.
            new_hash: SHA-256 of the token that it gets.
            signed: the settings of the token that opened the new connection.
            signed_agent: what that token says of the agent. What the backend said stays.
            client_tools: the tools that the client has functions for.
            woken_at_ms: when the turn function was, or is being, woken for it last.

        Returns:
            The session afterwards; None if the token is neither the latest nor the one before, the
            session is over, or it is on a connection that was opened later.
        """
        item = self._table.update(
            session_key(ref),
            "SET #connection = :connection, endpoint = :endpoint, connected_at = :connected, "
            "token_hash = :new, previous_hash = :shown, resumable_until = :until, "
            "signed = :signed, signed_agent = :agent, client_tools = :tools, woken_at = :woken",
            "(token_hash = :shown OR previous_hash = :shown) AND #status = :active "
            "AND (attribute_not_exists(connected_at) OR connected_at <= :connected)",
            {"#connection": "connection", "#status": "status"},
            {
                ":connection": {"S": connection_id},
                ":endpoint": {"S": endpoint},
                ":connected": number(connected_at_ms),
                ":new": {"S": new_hash},
                ":shown": {"S": shown_hash},
                ":active": {"S": "active"},
                ":until": number(self._resumable_until_s(ref)),
                ":signed": {"S": encode_json(signed)},
                ":agent": {"S": encode_json(signed_agent)},
                ":tools": {"S": encode_json(list(client_tools))},
                ":woken": number(woken_at_ms),
            },
        )
        return None if item is None else session_from(ref, item)

    def rotate_token(
        self, ref: SessionRef, turn_id: str, *, shown_hash: str, new_hash: str
    ) -> bool:
        """Give a session its next token, if its newest turn is the one that HTTP answers.

        Return False if a newer turn has come, whose answer brings the next token. So of two answers
        that cross on their way only one has a token.

        Args:
            ref: the session.
            turn_id: the turn that is answered.
            shown_hash: SHA-256 of the token that was shown. It stays good until the new one is
                shown.
            new_hash: SHA-256 of the next token.
        """
        item = self._table.update(
            session_key(ref),
            "SET token_hash = :new, previous_hash = :shown",
            "(token_hash = :shown OR previous_hash = :shown) AND #status = :active "
            "AND active_turn = :turn",
            {"#status": "status"},
            {
                ":new": {"S": new_hash},
                ":shown": {"S": shown_hash},
                ":active": {"S": "active"},
                ":turn": {"S": turn_id},
            },
        )
        return item is not None

    def change_settings(
        self, ref: SessionRef, changes: Settings, check: Callable[[Session], None] | None = None
    ) -> Session | None:
        """Change settings for the next turns. No change is lost to another at the same time.

        Args:
            ref: the session.
            changes: the settings to change.
            check: raises if the session may not have these changes.

        Returns:
            The session afterwards; None if it does not exist.

        Raises:
            SettingsContended: other writes changed the settings at every attempt.
        """
        for _ in range(SETTINGS_TRIES):
            item = self._table.get(session_key(ref))
            if item is None:
                return None
            before = session_from(ref, item)
            if check is not None:
                check(before)
            settings = before.settings.merged_with(changes)
            values = {":settings": {"S": encode_json(settings)}, ":before": item["settings"]}
            set_language, heard = "", before.heard_language
            if changes.language is not UNSET:
                # What was heard before the client chose no longer counts.
                set_language, heard = ", heard_language = :none, language_at = :now", ""
                values |= {":none": {"S": ""}, ":now": number(now_ms())}
            changed = self._table.update(
                session_key(ref),
                f"SET settings = :settings{set_language}",
                "settings = :before",
                {},
                values,
            )
            if changed is not None:
                return replace(before, settings=settings, heard_language=heard)
        raise SettingsContended

    def note_heard_language(self, ref: SessionRef, language: str, received_at_ms: int) -> None:
        """Note which language a session's user speaks. What was noted of a later turn stays.

        Args:
            received_at_ms: when API Gateway received the turn in which it was heard.
        """
        self._table.update(
            session_key(ref),
            "SET heard_language = :language, language_at = :received",
            "#status = :active AND (attribute_not_exists(language_at) OR language_at <= :received)",
            {"#status": "status"},
            {
                ":language": {"S": language},
                ":received": number(received_at_ms),
                ":active": {"S": "active"},
            },
        )

    def end_session(self, ref: SessionRef, received_at_ms: int) -> Session | None:
        """End a session. Return it as it is then; None if it does not exist.

        Args:
            ref: the session.
            received_at_ms: when API Gateway received the `end`, in ms since the epoch. A turn that
                came before is over; a turn that came later is refused.
        """
        item = self._table.update(
            session_key(ref),
            "SET #status = :ended, ended_at = if_not_exists(ended_at, :at)",
            "attribute_exists(pk) AND #status <> :erased",
            {"#status": "status"},
            {":ended": {"S": "ended"}, ":at": number(received_at_ms), ":erased": {"S": ERASED}},
        )
        return None if item is None else session_from(ref, item)

    def end_after_turn(self, ref: SessionRef, turn_id: str, at_s: int) -> None:
        """Let a session be over at a time, unless it is erased or another turn comes before.

        Args:
            turn_id: its newest turn.
            at_s: when, in s since the epoch.
        """
        self._table.update(
            session_key(ref),
            "SET resumable_until = :at",
            "#status = :active AND active_turn = :turn",
            {"#status": "status"},
            {":at": number(at_s), ":active": {"S": "active"}, ":turn": {"S": turn_id}},
        )

    def get_session(self, ref: SessionRef) -> Session | None:
        """Return a session without its history; None if it does not exist."""
        item = self._table.get(session_key(ref))
        return session_from(ref, item) if item else None

    def set_active_turn(self, ref: SessionRef, turn_id: str, received_at_ms: int) -> Session | None:
        """Note the newest turn, which also keeps the session from expiring.

        Args:
            ref: the session.
            turn_id: the turn.
            received_at_ms: when API Gateway received the turn. The later of two turns is newer. Of
                the same millisecond it is the one whose id sorts last, because clients number
                theirs.

        Returns:
            The session as it was before, with the turn that this one follows; None if there is a
            newer turn already, or the session is over.
        """
        item = self._table.update(
            session_key(ref),
            "SET previous_turn = if_not_exists(active_turn, :none), active_turn = :turn, "
            "active_since = :received, resumable_until = :until",
            "#status = :active AND "
            "(attribute_not_exists(active_since) OR active_since < :received "
            "OR (active_since = :received AND active_turn <= :turn))",
            {"#status": "status"},
            {
                ":active": {"S": "active"},
                ":turn": {"S": turn_id},
                ":none": {"S": ""},
                ":received": number(received_at_ms),
                ":until": number(self._resumable_until_s(ref)),
            },
            returned="ALL_OLD",
        )
        if item is None:
            return None
        before = session_from(ref, item)
        if before.active_turn != turn_id:
            return before
        # This write, if its answer was lost, or an earlier attempt has been here before.
        return replace(before, active_turn=before.previous_turn)

    def note_say(self, ref: SessionRef, note_id: str, received_at_ms: int) -> Session | None:
        """Note what the agent of a session is to say; the newest counts.

        Args:
            note_id: the backend's id of it.
            received_at_ms: when API Gateway received it first, in ms since the epoch.

        Returns:
            The session; None if it is over, or a newer one has come.
        """
        item = self._table.update(
            session_key(ref),
            "SET pending_say = :say, say_at = :at",
            "#status = :active AND (attribute_not_exists(say_at) OR say_at < :at "
            "OR (say_at = :at AND pending_say <= :say))",
            {"#status": "status"},
            {":say": {"S": note_id}, ":at": number(received_at_ms), ":active": {"S": "active"}},
        )
        return None if item is None else session_from(ref, item)

    def forget_say(self, ref: SessionRef, note_id: str) -> None:
        """Note that what the agent was to say has been said, or never will be."""
        self._table.update(
            session_key(ref),
            "SET pending_say = :none",
            "pending_say = :say",
            {},
            {":say": {"S": note_id}, ":none": {"S": ""}},
        )

    def _resumable_until_s(self, ref: SessionRef) -> int:
        """Return when a session can no longer be resumed if nothing more comes, in s since the
        epoch."""
        until, opened_ms = now_s() + self._session_idle_s, ulid_ms(parse_session_id(ref))
        if not self._max_session_s or opened_ms is None:
            return until
        return min(until, opened_ms // 1000 + self._max_session_s)

    # --- erasure ----------------------------------------------------------------

    def has_session(self, ref: SessionRef) -> bool:
        """Return whether a session exists and is not being erased."""
        session = self.get_session(ref)
        return session is not None and session.status != ERASED

    def mark_erased(self, ref: SessionRef) -> int | None:
        """Mark a session as erased: nothing of it may be read or written, and no list has it.

        Returns:
            When it was first marked, in ms since the epoch; None if it does not exist.
        """
        now = now_s()
        item = self._table.update(
            session_key(ref),
            "SET #status = :erased, erased_at = if_not_exists(erased_at, :now), "
            "expires_at = if_not_exists(expires_at, :expires)",
            "attribute_exists(pk)",
            {"#status": "status"},
            {
                ":erased": {"S": ERASED},
                ":now": number(round(time.time() * 1000)),
                ":expires": number(now + ERASED_TTL_S),
            },
        )
        self._table.delete(owner_key(parse_owner(ref), parse_session_id(ref)))
        return None if item is None else read_number(item, "erased_at")

    def sweep_session(self, ref: SessionRef, *, turns: bool = True) -> None:
        """Delete the history, turns, inboxes and undelivered events of an erased session.

        The mark of the erasure and the notes of connections stay.

        Args:
            ref: the session.
            turns: whether to delete turns with their inboxes, which tell a running turn to stop.
        """
        kept = _KEPT_TO_THE_LAST if turns else (*_KEPT_TO_THE_LAST, "TURN#")
        for page in self._table.query_pages(f"SESSION#{ref}", " ", "~", ("pk", "sk")):
            gone = [key for key in page if not read_text(key, "sk").startswith(kept)]
            self._table.write_batch([], gone)

    def forget_session(self, ref: SessionRef) -> None:
        """Delete the rest of a swept session: its connections' bindings and its own items."""
        pk = f"SESSION#{ref}"
        for page in self._table.query_pages(pk, "CONNECTION#", "CONNECTION#~", ("pk", "sk")):
            for key in page:
                self.connections.unbind(read_text(key, "sk").removeprefix("CONNECTION#"), ref)
        self._table.delete(session_key(ref))

    # --- the history ------------------------------------------------------------

    def read_conversation(
        self, ref: SessionRef, messages: int, since: str = "MESSAGE#", rounds: int = 0
    ) -> tuple[Session | None, History]:
        """Return a session and the last `messages` messages of its history.

        One query reads both: `META` sorts after every `MESSAGE#`.

        Args:
            ref: the session.
            messages: how many messages, at most.
            since: sort key of the first message that is wanted.
            rounds: how many rounds of tool calls may be among them. With more, there are fewer
                messages.
        """
        items = self._table.query_last(f"SESSION#{ref}", since, "META", messages + rounds + 1)
        if not items or read_text(items[0], "sk") != "META":
            return None, History()
        return session_from(ref, items[0]), history_from(reversed(items[1:]), messages)

    def put_message(
        self,
        ref: SessionRef,
        started_ms: int,
        message: Message,
        metrics: Any,
        sound: Sound | None = None,
        attempt: int = 1,
    ) -> str:
        """Add a message to the history, and return its sort key.

        The key orders messages by the start of their turn, the user's first. All attempts at a turn
        have the same key. An earlier attempt never overwrites a later one.
        """
        key = message_key(started_ms, message)
        item: dict[str, Any] = {
            "pk": {"S": f"SESSION#{ref}"},
            "sk": {"S": key},
            "role": {"S": message.role},
            "text": {"S": message.text},
            "turn_id": {"S": message.turn_id},
            "attempt": number(attempt),
        }
        if message.heard is not None:
            item["heard"] = {"S": message.heard}
        if message.language is not None:
            item["language"] = {"S": message.language}
        if message.heard_estimated:
            item["heard_estimated"] = number(1)
        if message.fillers:
            item["fillers"] = {"S": encode_json(message.fillers)}
        if message.tools:
            item["tools"] = {"S": encode_json(message.tools)}
        if message.agent:
            item["agent"] = number(1)
        if metrics is not None:
            item["metrics"] = {"S": encode_json(metrics)}
        if sound is not None:
            item |= sound_item(sound)
        self._table.put(
            item,
            "attribute_not_exists(attempt) OR attempt <= :attempt",
            {":attempt": item["attempt"]},
        )
        return key

    def forget_reply(self, ref: SessionRef, started_ms: int, turn_id: str) -> None:
        """Delete the reply of the attempt before: the turn runs again. What it used is kept."""
        key = message_key(started_ms, Message("assistant", "", turn_id))
        self.usage.keep_of_reply(ref, key)
        self._table.write_batch([], [{"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": key}}])

    def set_heard(
        self,
        ref: SessionRef,
        message_key: str,
        heard: str,
        received_at_ms: int,
        played_ms: float | None = None,
        *,
        estimated: bool = False,
    ) -> None:
        """Store how much of a reply in the history was heard.

        Args:
            ref: the session.
            message_key: sort key of the reply.
            heard: the beginning of the reply that was heard.
            received_at_ms: when API Gateway received the message that says so. The latest counts.
            played_ms: how much of the audio that was, if known.
            estimated: whether `heard` is an estimate.
        """
        self._table.update(
            {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": message_key}},
            "SET heard = :heard, heard_at = :at, heard_ms = :played, heard_estimated = :estimated",
            "attribute_exists(pk) AND (attribute_not_exists(heard_at) OR heard_at <= :at)",
            {},
            {
                ":heard": {"S": heard},
                ":at": number(received_at_ms),
                ":played": number(round(played_ms or 0)),
                ":estimated": number(int(estimated)),
            },
        )
