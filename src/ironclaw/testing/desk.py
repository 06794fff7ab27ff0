"""A gateway over fakes, with people who ask and decide, and one agent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import AgentId, PrincipalId, SessionId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.change import Asker, Seen
from ironclaw.domain.model import Agent, Role, Standing
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import Actor, Right
from ironclaw.services.gateway.service import GatewayService, Parts
from ironclaw.testing.fakes_gateway import MemoryChanges
from ironclaw.testing.fakes_running import MemoryLooks, MemoryNames, MemoryReach, MemoryTell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.audit import AuditEntry, By
    from ironclaw.domain.changes.base import Spec
    from ironclaw.services.gateway.port import ChangeView

AGENT = AgentId("agt_a")
SESSION = SessionId("ses_s")
BY_AGENT = Asker(principal=PrincipalId(f"agent:{AGENT}"), agent=AGENT, session=SESSION)


class Desk:
    """A gateway over fakes, with some people and one agent: `open_desk` makes one.

    Ann and Amy own the house, Bob and Ben are approvers, Oli is an operator, Vic a viewer, Mel is a
    member of the agent, Eve is nobody.
    """

    def __init__(self, clock: ManualClock, tasks: Tasks) -> None:
        self.clock = clock
        self.tasks = tasks
        self.store = MemoryChanges(clock)
        self.setting = self.store.setting
        self.reach = MemoryReach()
        self.tell = MemoryTell()
        self.looks = MemoryLooks(clock)
        self.refusals: list[tuple[AuditEntry, By]] = []
        agent = Agent(id=AGENT, name="helper", tools=("read_file",))
        self.setting.agents[agent.id] = agent
        self.setting.standings += [
            Standing(principal=PrincipalId(f"api:{name}"), role=role, agent=about)
            for name, role, about in (
                ("ann", Role.OWNER, None),
                ("amy", Role.OWNER, None),
                ("bob", Role.APPROVER, None),
                ("ben", Role.APPROVER, None),
                ("oli", Role.OPERATOR, None),
                ("vic", Role.VIEWER, None),
                ("mel", Role.MEMBER, AGENT),
            )
        ]
        self.gateway = self.restarted()

    def restarted(self) -> GatewayService:
        """Another core on the same store, as after a crash."""
        self.gateway = GatewayService(
            Parts(
                store=self.store,
                reach=self.reach,
                tell=self.tell,
                looks=self.looks,
                names=MemoryNames(self.setting),
                record=self._record,
                clock=self.clock,
                tasks=self.tasks,
            )
        )
        return self.gateway

    @property
    def agent(self) -> Agent:
        """The agent as it is now."""
        return self.setting.agents[AGENT]

    async def ask(self, spec: Spec, who: str = "oli", **more: int | ChangeId) -> ChangeView:
        """Let a person ask for a change."""
        principal = PrincipalId(f"api:{who}")
        return await self.gateway.submit(
            spec, asker=Asker(principal=principal), actor=person(who), reason="because",
            grant_s=cast("int | None", more.get("grant_s")),
            despite=cast("ChangeId | None", more.get("despite")),
        )  # fmt: skip

    async def agent_asks(self, spec: Spec) -> ChangeView:
        """Let the agent ask for a change."""
        return await self.gateway.submit(spec, asker=BY_AGENT, actor=None, reason="I need it")

    async def approve(self, view: ChangeView, who: str = "bob") -> ChangeView:
        """Let a person look at a change, and approve what they see."""
        return await self.decide(view, who, approve=True)

    async def decide(
        self, view: ChangeView, who: str, *, approve: bool, words: str = ""
    ) -> ChangeView:
        """Let a person look at a change, and decide on what they see."""
        actor = person(who)
        card = (await self.gateway.show(view.row.change.id, actor=actor)).card
        return await self.gateway.decide(
            view.row.change.id,
            actor=actor,
            approve=approve,
            seen=Seen(card.hash, card.state, card.version),
            words=words,
        )

    def audited(self) -> list[str]:
        """What the store has told the audit, in order."""
        return [entry.event.value for entry, _ in self.store.audit]

    async def _record(self, entry: AuditEntry, by: By) -> None:
        self.refusals.append((entry, by))


def person(name: str, *limit: Right) -> Actor:
    """Somebody with a token that lets all their rights through, or only some."""
    principal = PrincipalId(f"api:{name}")
    return Actor(principal, frozenset(limit or Right), Proof.TOKEN)


@contextlib.asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    """A desk whose background work ends with it; what goes wrong in that is raised here."""
    failures: list[BaseException] = []
    async with Tasks("desk", on_failure=lambda _, error: failures.append(error)) as tasks:
        yield Desk(ManualClock(), tasks)
    if failures:
        raise failures[0]
