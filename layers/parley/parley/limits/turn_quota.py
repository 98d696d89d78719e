"""Turns and seconds of audio that each account has used, counted in the table.

One conditional write for each limited account admits a turn before it begins, in parallel with the
reading of its history. What the turn has used is added at its end. The writes can be repeated,
because the client repeats a write whose answer was lost.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parley.clock import now_ms
from parley.errors import ParleyError
from parley.limits.bucket_update import build_bucket_update
from parley.limits.errors import quota_used_up, too_many_turns
from parley.limits.rules import Account, LimitRules, list_session_accounts
from parley.limits.token_bucket import DAY_MS, DailyQuota, Wait, bucket_per_minute, utc_day
from parley.principal import SessionRef
from parley.storage.item_codec import number, read_number, read_text
from parley.storage.table import Item, Table

TRIES = 8
"""How often a write is tried when other writes are faster. Each failure means that another write
succeeded."""
KEPT_MS = 2 * DAY_MS
"""How long an account's item stays after its last turn."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account has used.

    Attributes:
        full_at_ms: when its bucket of turns will be full again, in ms since the epoch.
        day: the day of the next two.
        audio_ms, speech_ms: what went to speech recognition, and what was spoken, on that day.
    """

    full_at_ms: int = 0
    day: int = 0
    audio_ms: int = 0
    speech_ms: int = 0

    @classmethod
    def from_item(cls, item: Item) -> Usage:
        """Return the usage that an item stores. An empty item means no usage."""
        names = ("full_at", "used_on", "audio_ms", "speech_ms")
        return cls(*(read_number(item, name) for name in names))

    def find_refusal(self, account: Account, now: int, *, spoken: bool) -> ParleyError | None:
        """Return why another turn may not begin; None if it may.

        Args:
            account: whose usage this is.
            now: in ms since the epoch.
            spoken: whether the turn needs speech recognition.
        """
        share, scope = account.share, account.scope
        today = self.day == utc_day(now)
        for name, limit_s, used_ms in (
            ("audio_seconds_per_day", share.audio_s_per_day if spoken else 0, self.audio_ms),
            ("speech_seconds_per_day", share.speech_s_per_day, self.speech_ms),
        ):
            if not limit_s or not today:
                continue
            wait_ms = DailyQuota(limit_s * 1000).wait_ms(used_ms, now)
            if wait_ms is not None:
                return quota_used_up(scope, name, limit_s, wait_ms)
        if share.turns_per_minute:
            taken = bucket_per_minute(share.turns_per_minute).take_tokens(self.full_at_ms, now)
            if isinstance(taken, Wait):
                return too_many_turns(scope, share.turns_per_minute, taken.ms)
        return None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a turn may begin.

    Attributes:
        refused: why not; None if it may.
        taken: the accounts that the turn was taken from.
    """

    refused: ParleyError | None = None
    taken: tuple[Account, ...] = ()


class Meter:
    """Admits turns, and charges for them.

    Args:
        table: the table.
        rules: the limits.
        clock: returns the time in ms since the epoch.
    """

    def __init__(self, table: Table, rules: LimitRules, clock: Callable[[], int] = now_ms) -> None:
        self._table = table
        self._rules = rules
        self._now = clock

    async def admit_turn(self, ref: SessionRef, *, spoken: bool) -> Admission:
        """Take a turn from each account of the session's owner.

        The accounts are asked one after another, the user's own first. So a user who has no turns
        left takes nothing from the tenant, not even for a moment. Otherwise a flood of refused
        turns would have other users refused. What was taken from the user is returned if the tenant
        has none.
        """
        accounts = [
            account
            for account in list_session_accounts(ref, self._rules)
            if account.share.turns_per_minute or account.share.has_quota
        ]
        taken: list[Account] = []
        for position, account in enumerate(accounts):
            try:
                refusal = await asyncio.to_thread(self._take, account, spoken)
                if refusal is None:
                    if account.share.turns_per_minute:
                        taken.append(account)
                    continue
                others = await asyncio.gather(
                    *(
                        asyncio.to_thread(self._refusal, other, spoken)
                        for other in accounts[position + 1 :]
                    )
                )
            except Exception:
                await self.return_turn(Admission(taken=tuple(taken)))
                raise
            await self.return_turn(Admission(taken=tuple(taken)))
            return Admission(_longest([refusal, *others]))
        return Admission(taken=tuple(taken))

    async def return_turn(self, admission: Admission) -> None:
        """Return an admitted turn that is not run, because another invocation runs it."""
        await asyncio.gather(
            *(asyncio.to_thread(self._return, account) for account in admission.taken)
        )

    async def charge_turn(self, ref: SessionRef, audio_ms: float, speech_ms: float) -> None:
        """Add what a turn has used to the day's account."""
        used = round(audio_ms), round(speech_ms)
        accounts = [a for a in list_session_accounts(ref, self._rules) if a.share.has_quota]
        if any(used):
            await asyncio.gather(
                *(asyncio.to_thread(self._charge, account, *used) for account in accounts)
            )

    # --- the writes ---------------------------------------------------------------

    def _take(self, account: Account, spoken: bool) -> ParleyError | None:
        """Take a turn. Return the error if there is none.

        The first attempt assumes that the account is at rest, as it usually is. Each later one
        knows the item.
        """
        if not account.share.turns_per_minute:
            return self._refusal(account, spoken)
        usage, nonce, wait_ms = Usage(), uuid.uuid4().hex, 1000.0
        for _ in range(TRIES):
            now = self._now()
            refusal = usage.find_refusal(account, now, spoken=spoken)
            if refusal is not None:
                return refusal
            taken, item = self._try_to_take(account, usage, now, spoken, nonce)
            if taken or read_text(item, "taken_by") == nonce:
                return None
            usage = Usage.from_item(item)
        return too_many_turns(account.scope, account.share.turns_per_minute, wait_ms)

    def _refusal(self, account: Account, spoken: bool) -> ParleyError | None:
        """Return the error with which an account would refuse a turn. Take nothing."""
        usage = Usage.from_item(self._table.get(_key(account)) or {})
        return usage.find_refusal(account, self._now(), spoken=spoken)

    def _try_to_take(
        self, account: Account, usage: Usage, now: int, spoken: bool, nonce: str
    ) -> tuple[bool, Item]:
        bucket = bucket_per_minute(account.share.turns_per_minute)
        change, condition, values = build_bucket_update(bucket, usage.full_at_ms, now, nonce)
        values[":expires"] = _expiry(now)
        quota = _quota_condition(account, spoken)
        if quota:
            condition += f" AND {quota[0]}"
            values |= {":today": number(utc_day(now)), **quota[1]}
        return self._table.try_update(
            _key(account), f"SET {change}, expires_at = :expires", condition, values
        )

    def _return(self, account: Account) -> None:
        bucket = bucket_per_minute(account.share.turns_per_minute)
        self._table.try_update(
            _key(account),
            "SET full_at = full_at - :interval, returned_by = :nonce",
            "full_at > :now AND (attribute_not_exists(returned_by) OR returned_by <> :nonce)",
            {
                ":interval": number(round(bucket.interval_ms)),
                ":now": number(self._now()),
                ":nonce": {"S": uuid.uuid4().hex},
            },
        )

    def _charge(self, account: Account, audio_ms: int, speech_ms: int) -> None:
        nonce, now = uuid.uuid4().hex, self._now()
        day = utc_day(now)
        values = {
            ":audio": number(audio_ms),
            ":speech": number(speech_ms),
            ":nonce": {"S": nonce},
            ":expires": _expiry(now),
        }
        more = "audio_ms = audio_ms + :audio, speech_ms = speech_ms + :speech"
        anew = "used_on = :day, audio_ms = :audio, speech_ms = :speech"
        rest = "charged_by = :nonce, expires_at = :expires"
        same_day = "used_on = :day AND charged_by <> :nonce"
        new_day = "attribute_not_exists(used_on) OR used_on < :day"
        for _ in range(TRIES):
            for change, condition in ((more, same_day), (anew, new_day)):
                values[":day"] = number(day)
                done, item = self._table.try_update(
                    _key(account), f"SET {change}, {rest}", condition, values
                )
                if done or read_text(item, "charged_by") == nonce:
                    return
            day = max(day, read_number(item, "used_on"))  # another function's clock is ahead


def _quota_condition(account: Account, spoken: bool) -> tuple[str, dict[str, Any]] | None:
    """Return the condition of today's quotas, as a DynamoDB expression with its values."""
    left, values = [], {}
    if account.share.audio_s_per_day and spoken:
        left.append("audio_ms < :audio")
        values[":audio"] = number(account.share.audio_s_per_day * 1000)
    if account.share.speech_s_per_day:
        left.append("speech_ms < :speech")
        values[":speech"] = number(account.share.speech_s_per_day * 1000)
    if not left:
        return None
    held = " AND ".join(left)
    return f"(attribute_not_exists(used_on) OR used_on <> :today OR ({held}))", values


def _longest(refusals: list[ParleyError | None]) -> ParleyError:
    """Return the refusal that lasts longest: before its end another attempt is in vain."""
    told = [refusal for refusal in refusals if refusal is not None]
    return max(told, key=lambda refusal: refusal.retry_after_ms or 0)


def _expiry(now: int) -> dict[str, str]:
    return number((now + KEPT_MS) // 1000)


def _key(account: Account) -> dict[str, Any]:
    return {"pk": {"S": account.pk}, "sk": {"S": "USAGE"}}
