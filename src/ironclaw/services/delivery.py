"""Delivery: hands each reply to its channel, in order, until the channel has it or never will.

committed(deliveries) -> a task for each lane ─┐
due() -> heads of the ledger's lanes ──────────┴-> delivered | postpone (back-off | dead)

A lane is one thread of one chat: within it order is kept, and nothing waits for another lane. As
long as a lane is in step with the ledger its deliveries are handed over as they are committed; one
that was put off is read again from the ledger. The only timer is the next retry.
"""

from __future__ import annotations

import asyncio
import collections
import secrets
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import msgspec

from ironclaw.core.alarm import Alarm
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PolicyError, UserError
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain.questions import as_text
from ironclaw.domain.splitting import split_text
from ironclaw.services.house import ChatEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import ChatId, DeliveryId, MessageId
    from ironclaw.domain.channels import Channel
    from ironclaw.domain.model import Delivery, Message
    from ironclaw.services.house import Live
    from ironclaw.services.hub import Hub
    from ironclaw.services.showing import Showing

MAX_TRIES: Final = 8
BASE_S: Final = 1.0
CAP_S: Final = 300.0
"""The n-th retry waits up to BASE * 2^n seconds, at most CAP, never less than half of that."""
TIMEOUT_S: Final = 30.0
"""For one hand-over."""
PER_CHANNEL: Final = 16
"""Hand-overs to one channel at once: a channel that hangs holds up no other."""
BATCH: Final = 128
RECENT: Final = 4096
"""Deliveries remembered as done."""
STORE_RETRY_S: Final = 2.0

_log = get_logger("delivery")

_Lane = tuple["ChatId", str | None]


@runtime_checkable
class Limited(Protocol):
    """A channel that says how long one message may be."""

    max_chars: int
    """Characters of one message, at most."""


@runtime_checkable
class ShowsOptions(Protocol):
    """A channel that shows what people may answer, as buttons or in a way of its own.

    It is given a question's words alone, with `Delivery.options` beside them, and has an `Event`
    with that question's id heard when one is pressed. Any other gets the options in the text.
    """

    shows_options: bool


class Outbox(Protocol):
    """The part of the ledger that delivery needs."""

    async def due(self, *, now_ms: int, limit: int) -> list[Delivery]:
        """Heads of lanes whose time has come, oldest first."""
        ...

    async def next_due_ms(self) -> int | None:
        """When the next one becomes due; None: there is none."""
        ...

    async def delivered(self, delivery: DeliveryId, *, platform_id: str) -> None:
        """The channel has it."""
        ...

    async def postpone(self, delivery: DeliveryId, *, next_ms: int | None, error: str) -> None:
        """Try again at `next_ms`, or never."""
        ...


class DeliveryService:
    """Implements `parts.Announce`. `run` is its one task."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        hub: Hub,
        clock: Clock,
        showing: Showing | None = None,
        max_tries: int = MAX_TRIES,
        base_s: float = BASE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._hub = hub
        self._clock = clock
        self._showing = showing
        self._max_tries = max_tries
        self._base_s = base_s
        self._timeout_s = timeout_s
        self._alarm = Alarm()
        self._busy: dict[_Lane, collections.deque[Delivery]] = {}
        self._ended: set[_Lane] = set()
        # Lanes whose order only the ledger knows: something was put off, or is older than us.
        self._lagging: set[_Lane] = set()
        self._caught_up = False
        self._recent: dict[DeliveryId, None] = {}
        self._tasks: Tasks | None = None
        self._at_once: collections.Counter[str] = collections.Counter()
        # Handed over, but the ledger could not be told yet: never to be handed over again.
        self._handed: dict[DeliveryId, str] = {}

    def due(self) -> None:
        """There are new deliveries in the ledger."""
        self._caught_up = False
        self._alarm.ring()

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these over at once where their lane is in step, without reading them again."""
        for delivery in deliveries:
            self._hub.settle(delivery.chat, delivery.message)
            lane = (delivery.chat, delivery.thread)
            waiting = self._busy.get(lane)
            if not self._caught_up or self._tasks is None or lane in self._lagging:
                self._alarm.ring()
            elif waiting is not None:
                waiting.append(delivery)
            elif self._at_once[delivery.channel] >= PER_CHANNEL:
                self._lagging.add(lane)
                self._alarm.ring()
            else:
                self._start(self._tasks, delivery)

    def live(
        self, kind: Live, message: Message, text: str, *, joined: Sequence[MessageId] = ()
    ) -> None:
        """Show what an agent is at to those who watch the chat now, and in its channel."""
        if kind == "doing" and self._showing is not None and self._tasks is not None:
            self._showing.show(self._tasks, message, text)
        self._hub.publish(
            ChatEvent(
                id=0,
                kind=kind,
                answers=tuple(joined),
                chat=message.chat,
                thread=message.thread,
                session=message.session,
                message=message.id,
                sender="",
                text=text,
                at_ms=self._clock.now_ms(),
            )
        )

    async def run(self) -> None:
        """Deliver until cancelled. A failing store is waited for."""
        async with Tasks("delivery", on_failure=self._failed) as tasks:
            self._tasks = tasks
            await self._alarm.keep(lambda: self._look(tasks))

    async def _look(self, tasks: Tasks) -> float | None:
        try:
            await self._start_due(tasks)
            return await self._wait_s()
        except HostError as error:
            _log.error("outbox_failed", code=error.code, detail=error.detail)
            return STORE_RETRY_S

    async def _start_due(self, tasks: Tasks) -> None:
        # Busy lanes are due as well until they are done: they must not fill the batch.
        limit = BATCH + len(self._busy)
        self._ended.clear()
        for delivery in await self._outbox.due(now_ms=self._clock.now_ms(), limit=limit):
            lane = (delivery.chat, delivery.thread)
            # What was read may be older than the end of a lane's last hand-over: it would be
            # handed over twice. The end has rung the bell, so the next look sees what is next.
            if lane in self._busy or lane in self._ended:
                continue
            if self._at_once[delivery.channel] >= PER_CHANNEL:
                continue
            self._start(tasks, delivery)

    def _start(self, tasks: Tasks, delivery: Delivery) -> None:
        lane = (delivery.chat, delivery.thread)
        self._busy[lane] = collections.deque((delivery,))
        self._at_once[delivery.channel] += 1
        tasks.start(self._lane(lane, delivery.channel), name=delivery.id)

    async def _wait_s(self) -> float | None:
        was_asked = not self._alarm.is_rung
        next_ms = await self._outbox.next_due_ms()
        if next_ms is None:
            if was_asked and not self._alarm.is_rung:
                self._caught_up = True
                self._lagging.clear()
            return None
        wait_s = (next_ms - self._clock.now_ms()) / 1000 + 0.001
        # What is due in a busy lane waits for that lane, whose end rings the bell.
        return max(wait_s, STORE_RETRY_S) if self._busy and wait_s <= 0 else max(wait_s, 0.0)

    async def _lane(self, lane: _Lane, channel: str) -> None:
        """Hand over what waits in a lane, one after the other."""
        try:
            while waiting := self._busy[lane]:
                if not await self._attempt(waiting[0]):
                    # The order is the ledger's from here on.
                    self._lagging.add(lane)
                    break
                waiting.popleft()
        except HostError as error:
            # The ledger could not be told. The lane stays busy for a moment, so nothing spins.
            _log.error("outbox_failed", code=error.code, detail=error.detail)
            self._lagging.add(lane)
            await asyncio.sleep(STORE_RETRY_S)
        finally:
            del self._busy[lane]
            self._ended.add(lane)
            self._at_once[channel] -= 1
            if not self._caught_up or lane in self._lagging:
                self._alarm.ring()

    async def _attempt(self, delivery: Delivery) -> bool:
        """Try once; False when it was put off."""
        if delivery.id in self._recent:
            # Told of it twice: by its commit and by a look at the ledger at the same time.
            return True
        known = self._handed.get(delivery.id)
        if known is None:
            error, final = "", False
            try:
                async with asyncio.timeout(self._timeout_s):
                    known = await self._hand_over(delivery)
            except (UserError, PolicyError) as refusal:
                error, final = f"{refusal.code}: {refusal.message}", True
            except IronClawError as failure:
                error = f"{failure.code}: {failure.message}"
            except TimeoutError:
                error = f"no answer within {self._timeout_s:g} s"
            except Exception as bug:  # noqa: BLE001 - an adapter's bug must not end the service
                _log.error("channel_bug", channel=delivery.channel, error=type(bug).__name__)
                error = f"bug: {type(bug).__name__}"
            if known is None:
                await self._put_off(delivery, error=error, final=final)
                return False
            self._handed[delivery.id] = known
        await self._outbox.delivered(delivery.id, platform_id=known)
        del self._handed[delivery.id]
        self._recent[delivery.id] = None
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return True

    async def _hand_over(self, delivery: Delivery) -> str:
        channel = self._channels.get(delivery.channel)
        if channel is None:
            raise HostError(
                Code.DELIVERY_FAILED,
                f"There is no channel {delivery.channel}.",
                hint="Set the channel up again, or delete its wirings.",
            )
        if delivery.question is not None and not isinstance(channel, ShowsOptions):
            text = as_text(delivery.text, delivery.options, free_text=delivery.free_text)
            delivery = msgspec.structs.replace(delivery, text=text)
        if not isinstance(channel, Limited):
            return await channel.deliver(delivery)
        parts = split_text(delivery.text, channel.max_chars)
        if len(parts) == 1:
            return await channel.deliver(delivery)
        last = ""
        for number, part in enumerate(parts):
            # The parts' ids are derived too: after a crash the channel knows those it has.
            id_ = type(delivery.id)(f"{delivery.id}.{number}")
            piece = msgspec.structs.replace(delivery, id=id_, text=part)
            if number < len(parts) - 1:
                # What people may answer, and files, stand below the last of it.
                piece = msgspec.structs.replace(piece, question=None, options=(), files=())
            last = await channel.deliver(piece)
        return last

    async def _put_off(self, delivery: Delivery, *, error: str, final: bool) -> None:
        dead = final or delivery.tries + 1 >= self._max_tries
        delay_s = backoff_s(delivery.tries, base_s=self._base_s)
        next_ms = None if dead else self._clock.now_ms() + round(delay_s * 1000)
        _log.warning(
            "delivery_dead" if dead else "delivery_postponed",
            delivery=delivery.id,
            channel=delivery.channel,
            tries=delivery.tries + 1,
            error=error,
        )
        await self._outbox.postpone(delivery.id, next_ms=next_ms, error=error)
        if dead:
            self._hub.nudge(delivery.chat)

    def _failed(self, task: str, error: BaseException) -> None:
        _log.error("delivery_task_failed", task=task, error=type(error).__name__)


def backoff_s(tries: int, *, base_s: float = BASE_S) -> float:
    """Seconds to wait after `tries` failures before: exponential, capped, jittered."""
    full = min(CAP_S, base_s * 2.0 ** min(tries, 30))
    return full / 2 + full / 2 * (secrets.randbelow(1_000_001) / 1_000_000)
