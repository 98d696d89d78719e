"""The one table: its items, and the conditional writes that keep them right.

Everything here is synchronous (boto3 is); asynchronous callers run it in threads.
Every key is built from the session that a connection is bound to, never from what
a message claims. The layout is in docs/design.md, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from parley.inbox import ChunkEntry, EndEntry, InboxEntry, InterruptEntry
from parley.items import (
    FinishedTurn,
    Session,
    chunk_key,
    connection_key,
    encode_json,
    inbox_entry_from,
    is_condition_failure,
    message_from,
    message_key,
    now_s,
    number,
    session_from,
    session_key,
    text_of,
    turn_key,
)
from parley.protocol import Message, Settings, Word

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECTION_TTL_S = 3 * 3600
"""A connection lives at most two hours (API Gateway); its item goes soon after."""
TURN_TTL_S = 24 * 3600

_AFTER_INBOX = "IN#~"


class Store:
    """Reads and writes the table.

    Args:
        client: a boto3 DynamoDB client.
        table: the table's name.
        session_idle_s: how long a session can be resumed after its last turn.
    """

    def __init__(self, client: DynamoDBClient, table: str, session_idle_s: int = 86_400) -> None:
        self._client = client
        self._table = table
        self._session_idle_s = session_idle_s

    # --- connections and sessions ---------------------------------------------

    def add_connection(self, connection_id: str) -> None:
        """A connection was opened; it has no session yet."""
        self._client.put_item(
            TableName=self._table,
            Item={
                **connection_key(connection_id),
                "connected_at": number(now_s()),
                "expires_at": number(now_s() + CONNECTION_TTL_S),
            },
        )

    def remove_connection(self, connection_id: str) -> None:
        """A connection was closed."""
        self._client.delete_item(TableName=self._table, Key=connection_key(connection_id))

    def bind_connection(self, connection_id: str, session_id: str) -> bool:
        """Bind a connection to its session, once; False if it already has one."""
        return self._update_if(
            connection_key(connection_id),
            "SET #session = :session, expires_at = :expires",
            "attribute_not_exists(#session)",
            {"#session": "session"},
            {
                ":session": {"S": session_id},
                ":expires": number(now_s() + CONNECTION_TTL_S),
            },
        )

    def session_of(self, connection_id: str) -> str | None:
        """The session that a connection is bound to."""
        item = self._client.get_item(
            TableName=self._table, Key=connection_key(connection_id), ConsistentRead=True
        ).get("Item", {})
        return text_of(item, "session") or None

    def put_session(self, session: Session) -> None:
        """Create a session."""
        self._client.put_item(
            TableName=self._table,
            Item={
                **session_key(session.session_id),
                "token_hash": {"S": session.token_hash},
                "connection": {"S": session.connection_id},
                "settings": {"S": encode_json(session.settings)},
                "status": {"S": session.status},
                "created_at": number(now_s()),
                "expires_at": number(now_s() + self._session_idle_s),
            },
        )

    def resume_session(self, old: Session, connection_id: str, new_token_hash: str) -> bool:
        """Move a session to a new connection and rotate its token.

        False if somebody else used the token first.
        """
        return self._update_if(
            session_key(old.session_id),
            "SET #connection = :connection, token_hash = :new, expires_at = :expires",
            "token_hash = :old AND #status = :active",
            {"#connection": "connection", "#status": "status"},
            {
                ":connection": {"S": connection_id},
                ":new": {"S": new_token_hash},
                ":old": {"S": old.token_hash},
                ":active": {"S": "active"},
                ":expires": number(now_s() + self._session_idle_s),
            },
        )

    def put_settings(self, session_id: str, settings: Settings) -> None:
        """New settings for the turns to come."""
        self._update_if(
            session_key(session_id),
            "SET settings = :settings",
            "attribute_exists(pk)",
            {},
            {":settings": {"S": encode_json(settings)}},
        )

    def end_session(self, session_id: str) -> str | None:
        """End a session; the turn that was claimed last, if any."""
        old = self._client.update_item(
            TableName=self._table,
            Key=session_key(session_id),
            UpdateExpression="SET #status = :ended",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":ended": {"S": "ended"}},
            ReturnValues="ALL_OLD",
        ).get("Attributes", {})
        return text_of(old, "active_turn") or None

    def session(self, session_id: str) -> Session | None:
        """One session, without its history."""
        item = self._client.get_item(
            TableName=self._table, Key=session_key(session_id), ConsistentRead=True
        ).get("Item")
        return session_from(session_id, item) if item else None

    def conversation(
        self, session_id: str, messages: int, since: str = "MESSAGE#"
    ) -> tuple[Session | None, list[Message]]:
        """A session and the last so many messages of its history, oldest first.

        One query reads both: `META` sorts after every `MESSAGE#`.

        Args:
            since: sort key of the first message that is wanted.
        """
        items = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :since AND :meta",
            ExpressionAttributeValues={
                ":pk": {"S": f"SESSION#{session_id}"},
                ":since": {"S": since},
                ":meta": {"S": "META"},
            },
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=messages + 1,
        )["Items"]
        if not items or text_of(items[0], "sk") != "META":
            return None, []
        history = [message_from(item) for item in reversed(items[1:])]
        return session_from(session_id, items[0]), history

    # --- turns ------------------------------------------------------------------

    def claim_turn(self, session_id: str, turn_id: str, owner: str) -> bool:
        """Become the one invocation that runs this turn; False if there is one already."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **turn_key(session_id, turn_id),
                    "state": {"S": "running"},
                    "owner": {"S": owner},
                    "expires_at": number(now_s() + TURN_TTL_S),
                },
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True

    def set_active_turn(self, session_id: str, turn_id: str) -> None:
        """Note the newest turn, which also keeps the session from expiring."""
        self._update_if(
            session_key(session_id),
            "SET active_turn = :turn, expires_at = :expires",
            "attribute_exists(pk)",
            {},
            {
                ":turn": {"S": turn_id},
                ":expires": number(now_s() + self._session_idle_s),
            },
        )

    def finish_turn(
        self,
        session_id: str,
        turn_id: str,
        *,
        reason: str,
        message_key: str = "",
        words: Sequence[Word] = (),
    ) -> None:
        """The turn is over; its words stay, for an interruption while audio still plays."""
        self._update_if(
            turn_key(session_id, turn_id),
            "SET #state = :reason, words = :words, message_key = :key",
            "attribute_exists(pk)",
            {"#state": "state"},
            {
                ":reason": {"S": reason},
                ":words": {"S": encode_json(list(words))},
                ":key": {"S": message_key},
            },
        )

    def turn_state(self, session_id: str, turn_id: str) -> str | FinishedTurn | None:
        """None if nobody claimed such a turn, `running`, or what is left of it."""
        item = self._client.get_item(
            TableName=self._table, Key=turn_key(session_id, turn_id), ConsistentRead=True
        ).get("Item")
        if not item:
            return None
        if (state := text_of(item, "state")) == "running":
            return state
        words = msgspec.json.decode(text_of(item, "words") or "[]", type=list[Word])
        return FinishedTurn(words, text_of(item, "message_key"))

    # --- history ----------------------------------------------------------------

    def put_message(self, session_id: str, started_ms: int, message: Message, metrics: Any) -> str:
        """Add a message to the history; returns its sort key.

        The key orders messages by the start of their turn, the user's first.
        """
        key = message_key(started_ms, message)
        item: dict[str, Any] = {
            "pk": {"S": f"SESSION#{session_id}"},
            "sk": {"S": key},
            "role": {"S": message.role},
            "text": {"S": message.text},
            "turn_id": {"S": message.turn_id},
        }
        if message.heard is not None:
            item["heard"] = {"S": message.heard}
        if metrics is not None:
            item["metrics"] = {"S": encode_json(metrics)}
        self._client.put_item(TableName=self._table, Item=item)
        return key

    def set_heard(self, session_id: str, message_key: str, heard: str) -> None:
        """Note that of a reply in the history only so much was heard."""
        self._update_if(
            {"pk": {"S": f"SESSION#{session_id}"}, "sk": {"S": message_key}},
            "SET heard = :heard",
            "attribute_exists(pk)",
            {},
            {":heard": {"S": heard}},
        )

    # --- the inbox ----------------------------------------------------------------

    def put_chunk(self, session_id: str, turn_id: str, chunk: ChunkEntry) -> None:
        """One chunk of an utterance; the same chunk again changes nothing."""
        self._put_inbox(session_id, turn_id, chunk_key(chunk.seq), {"audio": {"B": chunk.audio}})

    def put_end(self, session_id: str, turn_id: str, end: EndEntry) -> None:
        """The end of an utterance."""
        values: dict[str, Any] = {
            "chunks": number(end.chunks),
            "received_at": number(end.received_at_ms),
        }
        self._put_inbox(session_id, turn_id, "IN#end", values)

    def put_interrupt(self, session_id: str, turn_id: str, interrupt: InterruptEntry) -> None:
        """The user stopped the reply; the first to say so counts."""
        played_ms = interrupt.played_ms
        # Rounded, because DynamoDB refuses numbers under 1e-130, which a client may send.
        values: dict[str, Any] = (
            {} if played_ms is None else {"played_ms": {"N": repr(round(played_ms, 3))}}
        )
        try:
            self._put_inbox(
                session_id,
                turn_id,
                "IN#interrupt",
                values,
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def read_inbox(self, session_id: str, turn_id: str, next_seq: int) -> list[InboxEntry]:
        """Chunks from `next_seq` on, and the controls, that have arrived so far."""
        entries: list[InboxEntry] = []
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :from AND :to",
            "ExpressionAttributeValues": {
                ":pk": turn_key(session_id, turn_id)["pk"],
                ":from": {"S": chunk_key(next_seq)},
                ":to": {"S": _AFTER_INBOX},
            },
            "ConsistentRead": True,
        }
        while True:
            page = self._client.query(**query)
            entries += [inbox_entry_from(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return entries
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _put_inbox(
        self, session_id: str, turn_id: str, sk: str, values: dict[str, Any], **request: Any
    ) -> None:
        self._client.put_item(
            TableName=self._table,
            Item={
                "pk": turn_key(session_id, turn_id)["pk"],
                "sk": {"S": sk},
                "expires_at": number(now_s() + TURN_TTL_S),
                **values,
            },
            **request,
        )

    def _update_if(
        self,
        key: dict[str, Any],
        update: str,
        condition: str,
        names: dict[str, str],
        values: dict[str, Any],
    ) -> bool:
        request: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                **request,
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True
