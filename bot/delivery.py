"""Delivery: from the outbox to the platform, in the order of each conversation, until the end of each message is known.

What an error means for a message is decided on its class and attributes:
  RateLimited          the same again after the pause; no attempt was used up
  PlatformUnavailable  again with growing pauses
  OutcomeUnknown       find out; with an idempotency key again; else again once, then shown to the operators
  Undeliverable        the end, unless the chat only moved
  NotConfigured        the account is broken: everything waits until an operator has mended it
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from bot.dispatch import Running, RunningAccounts
from bot.failures import log_failure
from bot.gate import Gate
from bot.inlet import OnStep
from bot.lanes import Lanes
from bot.rates import Rates
from channels.contract import OUTBOUND, RECEIPT, Outbound, Receipt
from channels.errors import (
    ChannelError,
    NotConfigured,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    Undeliverable,
)
from knowledge import accounts as account_rows
from knowledge import conversations, inbox, incidents, outbox, people
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.errors import StoreUnavailable
from knowledge.live import Event, Live

log = logging.getLogger(__name__)

Change = Callable[[Connection], None]

_MOST_AT_ONCE = 50
_MOST_ATTEMPTS = 40
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0
_UNKNOWN_PAUSE_S = 2.0
_KEEP_TRIES = 20
# A platform without idempotency keys shows a message twice when we die between its arrival and our note of it. With
# one send at a time that is one message at most, whatever else is going on; a send that hangs is not waited for.
_LONGEST_SEND_S = 2.0
_BROKEN = "NotConfigured"


class Delivery:
    """Sends what the outbox holds through the accounts that run."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        live: Live,
        accounts: RunningAccounts,
        on_step: OnStep,
        sends_per_second: float = 0.0,
        sends_at_once: int = 1,
    ) -> None:
        """`sends_at_once`: how many sends of one account may be under way where the platform knows no repeats."""
        self._database = database
        self._clock = clock
        self._live = live
        self._accounts = accounts
        self._on_step = on_step
        self._sends_per_second = sends_per_second
        self._sends_at_once = sends_at_once
        self._rates: dict[str, Rates] = {}
        self._gates: dict[str, Gate] = {}
        self._broken: set[str] = set()
        self._lanes = Lanes("delivery", self._advance, clock)

    def wake(self, account_id: str, conversation_id: str) -> None:
        """Look at what this conversation has to send."""
        self._lanes.wake([f"{account_id}|{conversation_id}"])

    async def wake_open(self, account_id: str | None = None) -> None:
        """Look at everything unsent, of one account or of all."""
        found = await self._database.read(outbox.open_conversations)
        self._lanes.wake(f"{one}|{conversation}" for one, conversation in found if account_id in (None, one))

    async def resume(self, account_id: str) -> None:
        """Send what an account could not send before it was mended, and whatever else it has."""
        at = self._clock.now()
        await self._database.write(lambda c: outbox.hurry(c, account_id, error=_BROKEN, at=at))
        await self.wake_open(account_id)

    async def run(self) -> None:
        """Send until `stop`, then finish the sends in progress."""
        await self.wake_open()
        await self._lanes.run()

    def stop(self) -> None:
        """Begin no further send; what is left stays in the outbox."""
        self._lanes.stop()

    async def wait_idle(self) -> None:
        """Return once nothing is being sent and nothing waits for a time that comes within seconds."""
        await self._lanes.wait_idle()

    # ---------------------------------------------------------------------------------- one step of a lane

    async def _advance(self, lane: str) -> bool:
        account_id, conversation_id = lane.split("|", 1)
        account = self._accounts.running(account_id)
        if account is None:  # off or broken; its messages wait
            return False
        parcels = self._database.glance(lambda c: outbox.open_parcels(c, conversation_id, limit=_MOST_AT_ONCE))
        for parcel in parcels:
            pause_s = (parcel.due_at - self._clock.now()).total_seconds()
            if pause_s > 0:
                await self._lanes.pause(lane, pause_s)
                return True
            if self._lanes.is_stopping or not await self._send(account, parcel):
                return True
        return len(parcels) >= _MOST_AT_ONCE  # whatever came meanwhile has woken the lane

    async def _send(self, account: Running, parcel: outbox.Parcel) -> bool:
        """Send one message; return whether the next of this conversation may follow at once."""
        outbound = OUTBOUND.validate_json(parcel.payload)
        if parcel.state == "sending":  # a process died in the middle of this
            known = await self._reconciled(account, outbound)
            if known is not None:
                await self._keep_receipt(account, parcel, known)
                return True
        await self._rates_of(account).take(outbound.chat)
        at = self._clock.now()
        await self._database.write(lambda c: outbox.mark_sending(c, parcel.id, at=at))
        self._on_step("sending")
        async with self._gate_of(account).passage():
            try:
                receipt = await account.adapter.send(outbound)
            except ChannelError as error:
                return await self._settle(account, parcel, outbound, error)
            except Exception as error:  # an adapter's bug: nobody knows whether the message went out
                log_failure(log, "an adapter failed", error, channel=account.channel)
                return await self._settle(account, parcel, outbound, OutcomeUnknown("The adapter failed."))
            self._on_step("sent")
            await self._keep_receipt(account, parcel, receipt)
        return True

    async def _settle(self, account: Running, parcel: outbox.Parcel, outbound: Outbound, error: ChannelError) -> bool:
        log.warning(
            "not sent",
            extra={"ids": {"parcel": parcel.id, "channel": account.channel, "error": type(error).__name__}},
        )
        match error:
            case RateLimited():
                pause_s = error.retry_after_s or 1.0
                self._rates_of(account).close_chat(outbound.chat, pause_s)
                await self._again(parcel, error, pause_s, is_attempt=False)
                return False
            case Undeliverable(reason="migrated", new_chat_id=str(new_chat_id)):
                await self._move(account, parcel, outbound, new_chat_id)
                return False
            case Undeliverable():
                await self._give_up(account, parcel, error)
                return error.reason != "blocked"
            case OutcomeUnknown():
                return await self._settle_unknown(account, parcel, outbound, error)
            case NotConfigured():
                await self._break_account(account, parcel, error)
                return False
            case PlatformUnavailable() | ChannelError() if parcel.attempts < _MOST_ATTEMPTS:
                pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(parcel.attempts, 16))
                await self._again(parcel, error, pause_s * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
                return False
            case _:
                await self._give_up(account, parcel, error)
                return True

    async def _settle_unknown(
        self, account: Running, parcel: outbox.Parcel, outbound: Outbound, error: ChannelError
    ) -> bool:
        known = await self._reconciled(account, outbound)
        if known is not None:
            await self._keep_receipt(account, parcel, known)
            return True
        limits = account.adapter.limits
        most = _MOST_ATTEMPTS if limits.has_idempotency_key else limits.max_unknown_resends
        if parcel.unknown_attempts < most:
            await self._again(parcel, error, _UNKNOWN_PAUSE_S, is_unknown=True)
            return False
        summary = "A message may or may not have arrived; the platform never said. It was sent again once already."
        await self._end(account, parcel, error, state="unknown", kind="unknown_send", summary=summary)
        return True

    async def _reconciled(self, account: Running, outbound: Outbound) -> Receipt | None:
        try:
            return await account.adapter.reconcile(outbound)
        except ChannelError as error:
            log_failure(log, "a send could not be reconciled", error, channel=account.channel)
            return None

    async def _keep_receipt(self, account: Running, parcel: outbox.Parcel, receipt: Receipt) -> None:
        at = self._clock.now()
        first = receipt.message_ids[0] if receipt.message_ids else None

        def change(c: Connection) -> None:
            outbox.mark_sent(
                c,
                parcel,
                receipt=RECEIPT.dump_json(receipt).decode(),
                platform_message_id=first,
                media_ids=receipt.media_ids,
                at=at,
            )

        await self._keep(change)
        if account.account_id in self._broken:
            await self._note_well(account)
        self._on_step("marked")
        self._tell(account, parcel, "sent")

    async def _keep(self, change: Change) -> None:
        """Write what the platform has said already; it must not be lost to a disk that is full for a moment."""
        for attempt in range(_KEEP_TRIES):
            try:
                await self._database.write(change)
                return
            except StoreUnavailable as error:
                log_failure(log, "a receipt could not be kept yet", error)
                await self._clock.sleep(min(30.0, 0.2 * 2**attempt))
        await self._database.write(change)

    async def _again(
        self,
        parcel: outbox.Parcel,
        error: ChannelError,
        pause_s: float,
        *,
        is_unknown: bool = False,
        is_attempt: bool = True,
    ) -> None:
        due_at = self._clock.now() + timedelta(seconds=pause_s)
        kind = type(error).__name__
        await self._keep(
            lambda c: outbox.postpone(
                c, parcel.id, due_at=due_at, error=kind, is_unknown=is_unknown, is_attempt=is_attempt
            )
        )

    async def _move(self, account: Running, parcel: outbox.Parcel, outbound: Outbound, new_chat_id: str) -> None:
        """Follow a chat to its new id: this message, the conversation and whatever still waits in it."""
        moved_to = replace(outbound, chat=replace(outbound.chat, id=new_chat_id))

        def change(c: Connection) -> None:
            moved = conversations.move_chat(
                c, account.account_id, old_chat_id=outbound.chat.id, new_chat_id=new_chat_id
            )
            inbox.move(c, account.account_id, moved)
            outbox.set_payload(c, parcel.id, OUTBOUND.dump_json(moved_to).decode())
            outbox.postpone(c, parcel.id, due_at=self._clock.now(), error="migrated")

        await self._keep(change)

    async def _give_up(self, account: Running, parcel: outbox.Parcel, error: ChannelError) -> None:
        reason = error.reason if isinstance(error, Undeliverable) else type(error).__name__
        if reason == "blocked":
            await self._note_blocked(parcel)
            return
        summary = f"A message could not be delivered ({reason}). It is shown in its conversation."
        await self._end(account, parcel, error, state="dead", kind="dead_letter", summary=summary)

    async def _note_blocked(self, parcel: outbox.Parcel) -> None:
        def change(c: Connection) -> None:
            outbox.cancel_conversation(c, parcel.conversation_id, error="blocked")
            conversation = conversations.conversation(c, parcel.conversation_id)
            for identity in people.identities_of(c, conversation.person_id):
                if identity.account_id == parcel.account_id:
                    people.set_reachable(c, identity.id, False)

        await self._keep(change)

    async def _end(
        self, account: Running, parcel: outbox.Parcel, error: ChannelError, *, state: str, kind: str, summary: str
    ) -> None:
        at = self._clock.now()

        def change(c: Connection) -> None:
            outbox.end(c, parcel, state=state, error=type(error).__name__)
            incidents.report(
                c,
                kind=kind,
                summary=summary,
                at=at,
                persona_id=account.persona_id,
                account_id=account.account_id,
                conversation_id=parcel.conversation_id,
                turn_id=parcel.turn_id,
            )

        await self._keep(change)
        self._tell(account, parcel, "failed")

    async def _break_account(self, account: Running, parcel: outbox.Parcel, error: ChannelError) -> None:
        self._broken.add(account.account_id)
        at = self._clock.now()
        due_at = at + timedelta(seconds=_LONGEST_PAUSE_S)

        def change(c: Connection) -> None:
            outbox.postpone(c, parcel.id, due_at=due_at, error=_BROKEN, is_attempt=False)
            account_rows.set_state(c, account.account_id, "broken")
            account_rows.note_error(c, account.account_id, str(error), at=at)
            incidents.report(
                c,
                kind="account_broken",
                summary=str(error),
                at=at,
                persona_id=account.persona_id,
                account_id=account.account_id,
            )

        await self._keep(change)

    async def _note_well(self, account: Running) -> None:
        self._broken.discard(account.account_id)
        at = self._clock.now()

        def change(c: Connection) -> None:
            if account_rows.account(c, account.account_id).state == "broken":
                account_rows.set_state(c, account.account_id, "on")
            incidents.settle(c, kind="account_broken", account_id=account.account_id, at=at)

        await self._keep(change)

    def _gate_of(self, account: Running) -> Gate:
        if account.account_id not in self._gates:
            at_once = _MOST_AT_ONCE if account.adapter.limits.has_idempotency_key else self._sends_at_once
            self._gates[account.account_id] = Gate(at_once, longest_s=_LONGEST_SEND_S, clock=self._clock)
        return self._gates[account.account_id]

    def _rates_of(self, account: Running) -> Rates:
        if account.account_id not in self._rates:
            self._rates[account.account_id] = Rates(
                account.adapter.limits, self._clock, sends_per_second=self._sends_per_second
            )
        return self._rates[account.account_id]

    def _tell(self, account: Running, parcel: outbox.Parcel, name: str) -> None:
        self._live.publish(Event(f"persona/{account.persona_id}/conversation/{parcel.conversation_id}", name))
