"""When a box has rested long enough, gets nothing done, or takes too long for one turn.

rest: something happened -> a timer for a box with nothing to do, or for one that gets nothing done
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.ids import MessageId
from ironclaw.domain.ports import Worked
from ironclaw.services.ends import TOO_LONG
from ironclaw.services.turn_clock import TurnClock
from ironclaw_contract.records import Part, Step, TurnEnd

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.domain.model import Agent
    from ironclaw.domain.wall import Outbound
    from ironclaw.services.ends import Reason
    from ironclaw.services.parts import SessionLimits

MAX_RESEARCHED: Final = 64
"""Answers to its research that keep a box from counting as hung, up to its next record."""
MAX_PARCELS: Final = 80
"""Segments with nothing but parts of files that do so: more than any step can have."""


class Paced(Protocol):
    """Whose pace it is: a `services.life.Life`."""

    @property
    def agent(self) -> Agent:
        """As it is now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether the box has something to do."""
        ...

    @property
    def turn(self) -> MessageId | None:
        """The turn that it works on."""
        ...

    def end(
        self,
        reason: Reason,
        detail: str = "",
        *,
        words: str = "",
        code: Code = Code.BOX_BROKEN,
        message: MessageId | None = None,
    ) -> None:
        """End it."""
        ...

    def rests(self) -> None:
        """Nothing is with the box any more."""
        ...


class Pace:
    """The timers of one life.

    Args:
        life: Whose.
        limits: Of the house.
        clock: Gives the time.
    """

    def __init__(self, life: Paced, limits: SessionLimits, clock: Clock) -> None:
        self._life = life
        self._limits = limits
        self._clock = clock
        self._turn_clock = TurnClock(clock, self._took_too_long)
        self._timer: asyncio.TimerHandle | None = None
        self._answers_researched = 0
        self._parcels = 0
        self.idle_since = clock.monotonic_s()

    def stop(self) -> None:
        """Let go of all timers."""
        self._turn_clock.stop()
        if self._timer is not None:
            self._timer.cancel()

    def resume(self, worked: Worked) -> None:
        """A turn goes on in which former boxes have worked so long."""
        self._turn_clock.resume(worked)

    def agent_changed(self, former: Agent) -> None:
        """The agent is another one: what it may take holds at once."""
        agent = self._life.agent
        is_new = (agent.turn_s, agent.turn_total_s) != (former.turn_s, former.turn_total_s)
        if is_new and self._timer is not None and self._life.busy:
            self.rest()

    def rest(self) -> None:
        """Arm the timer for a box with nothing to do, or for one that gets nothing done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.idle_since = self._clock.monotonic_s()
        loop, life = asyncio.get_running_loop(), self._life
        busy = life.busy
        self._turn_clock.follow(life.turn if busy else None, most_s=life.agent.turn_total_s)
        if busy:
            # It may answer its watchdog and still never answer a person.
            self._timer = loop.call_later(self._turn_s, self._got_nothing_done)
        else:
            self._timer = loop.call_later(self._limits.idle_stop_s, life.end, "idle")
            life.rests()

    def got_on(self, out: Outbound) -> None:
        """Something was committed; parts of files alone keep a box from its rest only so long."""
        if any(not isinstance(body, Part) for body in out.bodies):
            self._answers_researched = self._parcels = 0
        elif self._parcels >= MAX_PARCELS or not self._life.busy:
            return
        else:
            self._parcels += 1
        self.rest()

    def researched(self) -> None:
        """A research got on, though no record tells of it yet: the box does get something done."""
        if self._life.busy and self._answers_researched < MAX_RESEARCHED:
            self._answers_researched += 1
            self.rest()

    def worked(self, out: Outbound) -> Worked | None:
        """How long a turn has taken that goes on: of one that is over nobody wants to know."""
        last = next((one for one in reversed(out.bodies) if isinstance(one, Step | TurnEnd)), None)
        worked = self._turn_clock.worked
        if worked is None or not isinstance(last, Step):
            return None
        return Worked(MessageId(last.turn), worked.ms)

    @property
    def unnoted(self) -> Worked | None:
        """How long the turn has taken at the end of its box, where that is limited."""
        if not self._life.busy or self._life.agent.turn_total_s is None:
            return None
        return self._turn_clock.worked

    @property
    def _turn_s(self) -> float:
        return self._life.agent.turn_s or self._limits.turn_s

    def _took_too_long(self, turn: MessageId) -> None:
        most_s = self._life.agent.turn_total_s or 0
        words = TOO_LONG.format(most_s)
        self._life.end("overtime", turn, words=words, code=Code.TURN_TOO_LONG, message=turn)

    def _got_nothing_done(self) -> None:
        detail = f"nothing done in {self._turn_s:.0f} s"
        self._life.end("hung", detail, code=Code.BOX_HUNG)
