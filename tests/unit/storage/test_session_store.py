"""Connections, sessions and histories."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import pytest

from parley.aws.failures import ServiceError
from parley.clock import now_ms
from parley.ids import new_ulid
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import Message, Metrics, Settings
from parley.storage.history import History
from parley.storage.item_codec import Connection, Session
from parley.storage.sessions import SessionStore, SettingsContended
from parley.storage.table import Table
from tests.unit.memory import own

IDLE_S = 600


@pytest.fixture
def store(table: Table) -> SessionStore:
    return SessionStore(table, IDLE_S)


@pytest.fixture
def session(store: SessionStore) -> Session:
    """A session that is there, of the test's own."""
    found = Session(
        own(new_ulid()),
        "hash-1",
        "c1",
        Settings(voice="v", speed=0.9),
        "active",
        None,
        "https://x",
    )
    store.put_session(found)
    return found


def item(client: Any, pk: str, sk: str = "META") -> dict[str, Any]:
    found: dict[str, Any] = client.get_item(
        TableName="table", Key={"pk": {"S": pk}, "sk": {"S": sk}}
    ).get("Item", {})
    return found


def said(turn_id: str, role: str, text: str = "x", heard: str | None = None) -> Message:
    return Message("user" if role == "user" else "assistant", text, turn_id, heard)


# --- connections and sessions -----------------------------------------------------------


def test_a_connection_is_bound_once_and_to_one_session(store: SessionStore) -> None:
    somebody = Principal("acme", "a#b/c d")
    store.connections.add("bound", somebody)
    assert store.connections.get_connection("bound") == Connection(somebody)
    assert store.connections.bind("bound", own("first"), "m")
    assert not store.connections.bind("bound", own("second"), "m")
    assert store.connections.get_connection("bound") == Connection(
        somebody, own("first"), "m", initialised=True
    )


def test_a_connection_that_was_refused_its_session_may_get_another(store: SessionStore) -> None:
    store.connections.add("refused", ANONYMOUS)
    store.connections.bind("refused", own("first"), "m")
    store.connections.unbind("refused", own("first"))
    assert store.connections.get_connection("refused") == Connection(ANONYMOUS, initialised=True)
    assert store.connections.bind("refused", own("second"), "m")


def test_a_connection_that_is_gone_has_no_session(store: SessionStore) -> None:
    store.connections.add("brief", ANONYMOUS)
    store.connections.bind("brief", own("s"), "m")
    store.connections.remove("brief")
    assert store.connections.get_connection("brief") is None


def test_a_session_comes_back_as_it_was(store: SessionStore, session: Session) -> None:
    found = store.get_session(session.ref)
    assert found is not None
    assert replace(found, expires_at=0) == session
    assert found.expires_at == pytest.approx(time.time() + IDLE_S, abs=5)
    assert not found.is_over(time.time())
    assert found.is_over(time.time() + IDLE_S + 5)
    assert store.get_session(own("nosuch")) is None


def resumed(
    store: SessionStore,
    session: Session,
    shown: str,
    new: str,
    to: str,
    connected_at_ms: int = 1_000,
) -> Session | None:
    return store.resume_session(
        session.ref,
        to,
        "https://y",
        connected_at_ms=connected_at_ms,
        shown_hash=shown,
        new_hash=new,
        signed=Settings(style="Short."),
    )


def test_a_resumed_session_is_on_its_new_connection(store: SessionStore, session: Session) -> None:
    now = resumed(store, session, "hash-1", "hash-2", "c2")
    assert now is not None
    assert now == store.get_session(session.ref)
    assert (now.connection_id, now.endpoint) == ("c2", "https://y")
    assert (now.token_hash, now.previous_hash) == ("hash-2", "hash-1")


def test_the_token_before_is_good_until_the_latest_is_shown(
    store: SessionStore, session: Session
) -> None:
    assert resumed(store, session, "hash-1", "hash-2", "c2")
    assert resumed(store, session, "hash-1", "hash-3", "c3"), "hash-2 never reached the client"
    assert resumed(store, session, "hash-3", "hash-4", "c4")
    assert resumed(store, session, "hash-1", "hash-5", "c5") is None
    assert resumed(store, session, "hash-2", "hash-5", "c5") is None


def test_a_session_goes_to_no_connection_that_is_older_than_its_own(
    store: SessionStore, session: Session
) -> None:
    assert resumed(store, session, "hash-1", "hash-2", "c2", 5_000)
    assert resumed(store, session, "hash-1", "hash-3", "lost", 4_999) is None
    at_once = resumed(store, session, "hash-1", "hash-3", "c3", 5_000)
    assert at_once is not None
    assert (at_once.connection_id, at_once.connected_at_ms) == ("c3", 5_000)


def test_a_session_that_does_not_say_how_old_its_connection_is_goes_to_any(
    store: SessionStore, session: Session, client: Any
) -> None:
    client.update_item(
        TableName="table",
        Key={"pk": {"S": f"SESSION#{session.ref}"}, "sk": {"S": "META"}},
        UpdateExpression="REMOVE connected_at",
    )
    assert resumed(store, session, "hash-1", "hash-2", "c2")


def test_a_session_that_ended_cannot_be_resumed(store: SessionStore, session: Session) -> None:
    ended = store.end_session(session.ref, 0)
    assert ended is not None
    assert (ended.status, ended.active_turn) == ("ended", None)
    assert resumed(store, session, "hash-1", "hash-2", "c2") is None
    now = store.get_session(session.ref)
    assert now is not None
    assert now.status == "ended"


def test_the_newest_turn_follows_the_one_before(store: SessionStore, session: Session) -> None:
    first = store.set_active_turn(session.ref, "t1", 1_000)
    second = store.set_active_turn(session.ref, "t2", 2_000)
    assert first is not None
    assert second is not None
    assert (first.active_turn, second.active_turn) == (None, "t1")


def test_an_older_turn_that_comes_late_is_not_the_newest(
    store: SessionStore, session: Session
) -> None:
    store.set_active_turn(session.ref, "newer", 2_000)
    assert store.set_active_turn(session.ref, "older", 1_000) is None
    now = store.get_session(session.ref)
    assert now is not None
    assert now.active_turn == "newer"


def test_ending_a_session_names_the_turn_that_was_claimed_last(
    store: SessionStore, session: Session
) -> None:
    store.set_active_turn(session.ref, "t1", 1)
    store.set_active_turn(session.ref, "t2", 2)
    ended = store.end_session(session.ref, 7)
    assert ended is not None
    assert (ended.active_turn, ended.ended_at_ms) == ("t2", 7)
    again = store.end_session(session.ref, 9)
    assert again is not None
    assert again.ended_at_ms == 7


def test_settings_replace_the_older_ones(store: SessionStore, session: Session) -> None:
    changed = store.change_settings(session.ref, Settings(language="de"))
    now = store.get_session(session.ref)
    assert now is not None
    assert now == changed
    assert now.settings == Settings(voice="v", language="de", speed=0.9)


def heard_in(store: SessionStore, session: Session) -> str:
    now = store.get_session(session.ref)
    assert now is not None
    return now.heard_language


def test_the_language_that_was_heard_last_counts(store: SessionStore, session: Session) -> None:
    assert heard_in(store, session) == ""
    store.note_heard_language(session.ref, "de", 2)
    store.note_heard_language(session.ref, "fr", 1)  # of a turn that began before
    assert heard_in(store, session) == "de"
    store.note_heard_language(session.ref, "en", 3)
    assert heard_in(store, session) == "en"


def test_a_language_that_is_chosen_undoes_what_was_heard_before(
    store: SessionStore, session: Session
) -> None:
    before = now_ms() - 1
    store.note_heard_language(session.ref, "de", before)
    changed = store.change_settings(session.ref, Settings(speed=1.1))
    assert changed is not None
    assert (changed.heard_language, heard_in(store, session)) == ("de", "de")
    changed = store.change_settings(session.ref, Settings(language="fr"))
    assert changed is not None
    assert (changed.heard_language, heard_in(store, session)) == ("", "")
    store.note_heard_language(session.ref, "de", before)  # of a turn that ran when it was chosen
    assert heard_in(store, session) == ""
    store.note_heard_language(session.ref, "de", now_ms() + 1)
    assert heard_in(store, session) == "de"


@pytest.mark.parametrize("over", ["ended", "erased", "never opened"])
def test_nothing_is_heard_in_a_session_that_is_over(
    store: SessionStore, session: Session, over: str
) -> None:
    ref = own("never-opened") if over == "never opened" else session.ref
    if over == "ended":
        store.end_session(ref, 1)
    elif over == "erased":
        store.mark_erased(ref)
    store.note_heard_language(ref, "de", 1)
    assert heard_in(store, session) == ""
    assert store.has_session(own("never-opened")) is False


def test_a_message_keeps_its_language(store: SessionStore, session: Session) -> None:
    store.put_message(session.ref, 1, Message("user", "Hallo.", "t1", language="de"), None)
    store.put_message(session.ref, 2, Message("user", "Hello.", "t2"), None)
    history = store.read_conversation(session.ref, 40)[1].messages
    assert [message.language for message in history] == ["de", None]


def test_of_changes_to_the_settings_at_the_same_time_none_is_lost(
    store: SessionStore, table: Table, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, others = table.get, [Settings(speed=1.1), Settings(style="Short.")]

    def meanwhile(key: Any) -> Any:
        item = get(key)
        if others:
            store.change_settings(session.ref, others.pop())
        return item

    monkeypatch.setattr(table, "get", meanwhile)
    changed = store.change_settings(session.ref, Settings(language="de"))
    assert changed is not None
    assert changed.settings == Settings(voice="v", language="de", speed=1.1, style="Short.")


def test_settings_that_never_stay_are_given_up(
    store: SessionStore, table: Table, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "update", lambda *_, **__: None)
    with pytest.raises(SettingsContended):
        store.change_settings(session.ref, Settings(language="de"))


def test_writes_whose_answer_was_lost_count(
    store: SessionStore, table: Table, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set_active_turn(session.ref, "t1", 1)
    store.connections.add("lost", ANONYMOUS)
    write = table.update

    def repeated(*arguments: Any, **options: Any) -> Any:
        write(*arguments, **options)
        return write(*arguments, **options)  # as botocore does after a time-out

    monkeypatch.setattr(table, "update", repeated)
    assert store.connections.bind("lost", session.ref, "m")
    assert not store.connections.bind("lost", session.ref, "m"), "by another invocation"
    before = store.set_active_turn(session.ref, "t2", 2)
    assert before is not None
    assert before.active_turn == "t1", "or the turn before would not be interrupted"
    assert resumed(store, session, "hash-1", "hash-2", "c2")


def test_another_principal_s_session_of_that_name_is_another_session(
    store: SessionStore, session: Session
) -> None:
    name = session.session_id
    for other in (Principal("acme", "anonymous"), Principal("default", "anonymous/x"), Principal()):
        found = store.get_session(other.session(name))
        assert (found is not None) == (other == ANONYMOUS)


def test_nothing_makes_half_a_session(store: SessionStore, client: Any) -> None:
    assert store.change_settings(own("never-opened"), Settings(speed=1.0)) is None
    store.set_active_turn(own("never-opened"), "t", 1)
    assert store.end_session(own("never-opened"), 0) is None
    store.set_heard(own("never-opened"), "MESSAGE#1", "x", 1)
    assert item(client, f"SESSION#{own('never-opened')}") == {}


# --- the conversation ---------------------------------------------------------------------


def test_a_conversation_is_the_session_and_its_last_messages_oldest_first(
    store: SessionStore, session: Session
) -> None:
    for turn in range(1, 6):
        # the reply is written first: the key orders them, not the time of writing
        store.put_message(session.ref, turn, said(f"t{turn}", "assistant"), Metrics())
        store.put_message(session.ref, turn, said(f"t{turn}", "user"), None)
    found, read = store.read_conversation(session.ref, 3)
    history = read.messages
    assert found == store.get_session(session.ref)
    assert [(m.turn_id, m.role) for m in history] == [
        ("t4", "assistant"),
        ("t5", "user"),
        ("t5", "assistant"),
    ]
    assert [m.started_ms for m in history] == [4, 5, 5]


def test_a_conversation_without_messages_is_the_session(
    store: SessionStore, session: Session
) -> None:
    store.put_message(session.ref, 1, said("t1", "user"), None)
    found = store.get_session(session.ref)
    assert store.read_conversation(session.ref, 0) == (found, History())
    assert store.read_conversation(own("nosuch"), 5) == (None, History())


def test_a_conversation_can_begin_at_a_turn(store: SessionStore, session: Session) -> None:
    for turn in (1, 2, 3):
        store.put_message(session.ref, turn, said(f"t{turn}", "user"), None)
    history = store.read_conversation(session.ref, 40, "MESSAGE#000000000000002#")[1].messages
    assert [m.turn_id for m in history] == ["t2", "t3"]


def test_what_was_heard_is_noted_on_the_reply(store: SessionStore, session: Session) -> None:
    key = store.put_message(session.ref, 1, said("t1", "assistant", "One two."), None)
    store.set_heard(session.ref, key, "", 1)
    (message,) = store.read_conversation(session.ref, 1)[1].messages
    assert (message.text, message.heard) == ("One two.", "")


def test_whether_what_was_heard_is_an_estimate_is_noted_with_it(
    store: SessionStore, session: Session
) -> None:
    message = Message("assistant", "One two.", "t1", "One", heard_estimated=True)
    key = store.put_message(session.ref, 1, message, None)
    (first,) = store.read_conversation(session.ref, 1)[1].messages
    store.set_heard(session.ref, key, "", 1)
    (exact,) = store.read_conversation(session.ref, 1)[1].messages
    store.set_heard(session.ref, key, "One", 2, estimated=True)
    (last,) = store.read_conversation(session.ref, 1)[1].messages
    assert [each.heard_estimated for each in (first, exact, last)] == [True, False, True]


def test_whether_the_agent_spoke_unasked_is_stored(store: SessionStore, session: Session) -> None:
    store.put_message(session.ref, 1, Message("assistant", "Hello.", "t1", agent=True), None)
    store.put_message(session.ref, 2, said("t2", "assistant", "One."), None)
    messages = store.read_conversation(session.ref, 2)[1].messages
    assert [each.agent for each in messages] == [True, False]


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_of_interruptions_that_overtake_each_other_the_last_one_counts(
    store: SessionStore, session: Session, order: tuple[int, ...]
) -> None:
    key = store.put_message(session.ref, 1, said("t1", "assistant", "One two three."), None)
    heard = {1: "One two three.", 2: "", 3: "One two"}
    for received_at_ms in order:
        store.set_heard(session.ref, key, heard[received_at_ms], received_at_ms)
    (message,) = store.read_conversation(session.ref, 1)[1].messages
    assert message.heard == "One two"


def test_what_an_attempt_replied_is_forgotten_and_what_the_user_said_is_not(
    store: SessionStore, session: Session
) -> None:
    for turn in ("t1", "t2"):
        store.put_message(session.ref, 1, said(turn, "user"), None)
        store.put_message(session.ref, 1, said(turn, "assistant"), None)
    store.forget_reply(session.ref, 1, "t1")
    history = store.read_conversation(session.ref, 9)[1].messages
    assert [(m.turn_id, m.role) for m in history] == [
        ("t1", "user"),
        ("t2", "user"),
        ("t2", "assistant"),
    ]


def test_a_message_keeps_any_text(store: SessionStore, session: Session) -> None:
    text = "\0 \u2028 ‮ 🙂 " + "é" * 5000
    store.put_message(session.ref, 1, said("t1", "user", text), None)
    assert store.read_conversation(session.ref, 1)[1].messages[0].text == text


# --- tokens of answers over HTTP ----------------------------------------------------------------


@pytest.mark.parametrize("shown", ["latest", "before"])
def test_the_newest_turn_s_answer_brings_the_next_token(
    store: SessionStore, session: Session, shown: str
) -> None:
    store.set_active_turn(session.ref, "t1", 1)
    assert store.rotate_token(session.ref, "t1", shown_hash=session.token_hash, new_hash="latest")
    before = {"latest": "latest", "before": session.token_hash}[shown]
    assert store.rotate_token(session.ref, "t1", shown_hash=before, new_hash="next")
    found = store.get_session(session.ref)
    assert found is not None
    assert (found.token_hash, found.previous_hash) == ("next", before)
    assert found.connection_id == session.connection_id, "its connection stays"


@pytest.mark.parametrize(
    ("turn_id", "shown"), [("t1", "session's"), ("t2", "wrong")], ids=["older turn", "wrong token"]
)
def test_no_other_answer_brings_a_token(
    store: SessionStore, session: Session, turn_id: str, shown: str
) -> None:
    store.set_active_turn(session.ref, "t1", 1)
    store.set_active_turn(session.ref, "t2", 2)
    shown_hash = session.token_hash if shown == "session's" else shown
    assert not store.rotate_token(session.ref, turn_id, shown_hash=shown_hash, new_hash="next")
    assert store.get_session(session.ref) is not None


# --- what expires -----------------------------------------------------------------------------


def test_a_turn_keeps_its_session_from_expiring(
    client: Any, table: Table, session: Session
) -> None:
    later = SessionStore(table, IDLE_S * 10)
    before = int(item(client, f"SESSION#{session.ref}")["resumable_until"]["N"])
    later.set_active_turn(session.ref, "t", 1)
    after = int(item(client, f"SESSION#{session.ref}")["resumable_until"]["N"])
    assert after >= before + IDLE_S * 9


def test_a_table_that_fails_is_not_taken_for_a_condition(client: Any) -> None:
    lost = SessionStore(Table(client, "no-such-table"))
    with pytest.raises(ServiceError):
        lost.connections.bind("c", own("s"), "m")
    with pytest.raises(ServiceError):
        lost.put_session(Session(own("s"), "", "c", Settings(), "active"))


# --- whose it is, and until when ---------------------------------------------------------------


def test_a_session_is_in_its_owner_s_list_from_the_start(client: Any, store: SessionStore) -> None:
    ada = Principal("acme", "ada")
    store.put_session(new_session(ada.session("listed")))
    key = {"pk": {"S": "OWNER#acme/ada"}, "sk": {"S": "SESSION#listed"}}
    assert "Item" in client.get_item(TableName="table", Key=key)
    store.mark_erased(ada.session("listed"))
    assert "Item" not in client.get_item(TableName="table", Key=key)


def test_where_nobody_is_known_nobody_has_a_list(table: Table, store: SessionStore) -> None:
    store.put_session(new_session(own("nobody-s")))
    assert [*table.query_pages(f"OWNER#{ANONYMOUS.key}", " ", "~")] == [[]]


def test_a_session_that_is_marked_takes_no_change(store: SessionStore, session: Session) -> None:
    first = store.mark_erased(session.ref)
    assert first is not None
    assert store.mark_erased(session.ref) == first
    assert not store.has_session(session.ref)
    assert store.end_session(session.ref, 0) is None
    assert store.set_active_turn(session.ref, "t", 1) is None
    assert store.mark_erased(own("never-was")) is None


def new_session(ref: SessionRef) -> Session:
    return Session(ref, "", "c", Settings(), "active")
