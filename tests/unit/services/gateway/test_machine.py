"""Whatever people, agents and failures do in whatever order: no effect without its approvals.

The oracle knows nothing of steps or policies: it notes who pressed what while which rule was on,
and looks at what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain import deciding
from ironclaw.domain.change import Seen, Status
from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.policy import ApproverRule, AutoRule, Policy, Verdict
from ironclaw.testing.desk import AGENT, open_desk, person
from ironclaw.testing.fakes_running import TOOLS

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.model import Agent
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.testing.desk import Desk

PEOPLE = ("ann", "amy", "bob", "ben", "oli", "vic", "mel", "eve")
DECIDERS = {"ann", "amy", "bob", "ben"}
POLICIES = (
    Policy(),
    Policy(solo=True),
    Policy(approvers=tuple(ApproverRule(topic=one, people=2) for one in Topic)),
    Policy(
        automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS),)
    ),
    Policy(automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.DENY),)),
)
ENDS = {"change.applied", "grant.revoked", "grant.expired"}

people = st.sampled_from(PEOPLE)
askers = st.sampled_from(("ann", "amy", "oli", "ann", "oli", "vic", "mel", "eve"))
deciders = st.sampled_from(("ann", "amy", "bob", "ben", "ann", "bob", "oli", "eve"))
specs = st.one_of(
    st.sampled_from(["kind", "rude", "terse", "shy"]).map(
        lambda text: SetPersona(agent=AGENT, persona=text)
    ),
    st.sampled_from(TOOLS).map(lambda tool: SetTools(agent=AGENT, add=(tool,))),
    st.sampled_from(TOOLS[:2]).map(lambda tool: SetTools(agent=AGENT, remove=(tool,))),
)


class Press(NamedTuple):
    """A yes that the gateway took."""

    person: str
    """Who that was, then."""
    is_own: bool
    """Whether they had asked for it themselves, then."""
    people: int
    """How many the policy wanted, then."""
    solo: bool


class Office(RuleBasedStateMachine):
    """People at a desk."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self.views: list[ChangeView] = []
        self.presses: dict[ChangeId, list[Press]] = {}
        self.by_rule: set[ChangeId] = set()
        self.before: Agent | None = None
        self.looked_at = 0
        self.desk: Desk

    @initialize()
    def open(self) -> None:
        self.desk = self.run(self._stack.enter_async_context(open_desk()))
        self.before = self.desk.agent

    def teardown(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def tried(self, work: Coroutine[Any, Any, ChangeView]) -> ChangeView | None:
        """Let something be tried; nothing but a refusal may come of it."""

        async def attempt() -> ChangeView | None:
            try:
                return await work
            except IronClawError:
                return None

        view: ChangeView | None = self.run(attempt())
        return view

    # --- what people and agents do ----------------------------------------------------------------

    @rule(spec=specs, who=askers, grant_s=st.sampled_from([None, 3600]))
    def ask(self, spec: SetPersona | SetTools, who: str, grant_s: int | None) -> None:
        more = {} if grant_s is None else {"grant_s": grant_s}
        self._asked(self.tried(self.desk.ask(spec, who, **more)))

    @rule(spec=specs)
    def agent_asks(self, spec: SetPersona | SetTools) -> None:
        self._asked(self.tried(self.desk.agent_asks(spec)))

    def _asked(self, view: ChangeView | None) -> None:
        if view is None:
            return
        self.views.append(view)
        row = view.row
        if row.decisions and not row.decisions[0].principal and not self.presses.get(row.change.id):
            rules = self.desk.setting.policy.automatic
            if any(one.verdict is Verdict.ALLOW for one in rules):
                self.by_rule.add(row.change.id)

    @precondition(lambda self: self.views)
    @rule(data=st.data(), who=deciders, approve=st.sampled_from([True, True, False]))
    def decide_on_what_is(self, data: st.DataObject, who: str, approve: bool) -> None:
        view = data.draw(st.sampled_from(self.views))
        self._decided(view, who, self.tried(self.desk.decide(view, who, approve=approve)), approve)

    @precondition(lambda self: self.views)
    @rule(data=st.data(), who=deciders)
    def decide_on_what_was(self, data: st.DataObject, who: str) -> None:
        view = data.draw(st.sampled_from(self.views))
        seen = Seen(view.card.hash, view.card.state, view.card.version)
        deciding = self.desk.gateway.decide(
            view.row.change.id, actor=person(who), approve=True, seen=seen
        )
        self._decided(view, who, self.tried(deciding), approve=True)

    def _decided(self, view: ChangeView, who: str, after: ChangeView | None, approve: bool) -> None:
        if after is None or not approve or after.row.status is Status.OVERTAKEN:
            # Nothing was left to say yes to.
            return
        setting = self.desk.setting
        asker = view.row.change.asker
        me = setting.person(PrincipalId(f"api:{who}"))
        self.presses.setdefault(view.row.change.id, []).append(
            Press(
                person=me,
                is_own=not asker.is_agent and setting.person(asker.principal) == me,
                people=2 if setting.policy.approvers else 1,
                solo=setting.policy.solo,
            )
        )
        assert who in DECIDERS, "not who in DECIDERS"

    @precondition(lambda self: self.views)
    @rule(data=st.data(), who=people, what=st.sampled_from(["withdraw", "retry"]))
    def other(self, data: st.DataObject, who: str, what: str) -> None:
        view = data.draw(st.sampled_from(self.views))
        call = getattr(self.desk.gateway, what)
        self.tried(call(view.row.change.id, actor=person(who)))

    @rule(data=st.data(), who=deciders)
    def revoke(self, data: st.DataObject, who: str) -> None:
        rows = self.run(self.desk.store.grants(agents=None, ended=False, limit=99))
        if rows:
            grant, _ = data.draw(st.sampled_from(rows))
            self.tried(self.desk.gateway.revoke(grant.id, actor=person(who)))

    # --- what happens -----------------------------------------------------------------------------

    @rule(policy=st.sampled_from(POLICIES))
    def rule_otherwise(self, policy: Policy) -> None:
        self.desk.setting.policy = policy

    @rule(who=st.sampled_from(["bob", "ben"]), other=st.sampled_from(["ann", "oli", "ben"]))
    def link(self, who: str, other: str) -> None:
        self.desk.setting.persons[PrincipalId(f"api:{who}")] = PrincipalId(f"api:{other}")

    @rule()
    def break_what_runs(self) -> None:
        self.desk.reach.broken = HostError(Code.AIRLOCK_FAILED, "No airlock.")

    @rule()
    def mend(self) -> None:
        self.desk.reach.broken = None

    @rule(hours=st.sampled_from([1, 24, 24 * 8]))
    def wait(self, hours: int) -> None:
        self.desk.clock.advance(hours * 3600)
        self.run(self.desk.gateway.resume())

    @rule(ticks=st.integers(0, 12), data=st.data(), who=st.sampled_from(sorted(DECIDERS)))
    @precondition(lambda self: self.views)
    def die_while_deciding(self, ticks: int, data: st.DataObject, who: str) -> None:
        view = data.draw(st.sampled_from(self.views))

        async def die() -> None:
            deciding = asyncio.get_running_loop().create_task(
                self.desk.decide(view, who, approve=True)
            )
            for _ in range(ticks):
                await asyncio.sleep(0)
            deciding.cancel()
            await asyncio.wait({deciding})
            await self.desk.tasks.cancel()
            await self.desk.restarted().resume()

        known = self.run(self.desk.store.row(view.row.change.id)).decisions
        self.run(die())
        row = self.run(self.desk.store.row(view.row.change.id))
        if len(row.decisions) > len(known):
            self._decided(view, who, view, approve=True)

    def decide_and_look(self, who: str) -> None:
        """Decide on the last change, and look at what must hold."""
        self.decide_on_what_is(data=Last(), who=who, approve=True)
        self.no_effect_without_its_approvals()

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def no_effect_without_its_approvals(self) -> None:
        if self.before is None:
            return
        news = [entry for entry, _ in self.desk.store.audit[self.looked_at :]]
        self.looked_at += len(news)
        if self.desk.agent != self.before:
            assert {one.event.value for one in news} & ENDS, "an effect out of nothing"
        self.before = self.desk.agent
        for one in news:
            if one.event.value == "change.applied":
                self._check_applied(one.change)

    def _check_applied(self, change: str | None) -> None:
        row = self.desk.store._rows[change]  # type: ignore[index]
        if row.change.id in self.by_rule:
            assert isinstance(row.change.spec, SetTools)
            assert not row.change.spec.add
            return
        presses = self.presses.get(row.change.id, [])
        assert presses, "an effect that nobody said yes to"
        assert all(one.solo for one in presses if one.is_own), "one's own word counted"
        assert len({one.person for one in presses}) >= presses[-1].people

    @invariant()
    def nothing_hangs(self) -> None:
        if self.before is None:
            return
        for row in self.desk.store._rows.values():
            assert row.status is not Status.APPROVED
            if row.status is Status.APPLIED:
                assert row.code
                assert row.change.id in str(self.desk.gateway.degraded)


class Last:
    """Draws the last one."""

    def draw(self, strategy: st.SearchStrategy[ChangeView]) -> ChangeView:
        *_, last = strategy.elements  # type: ignore[attr-defined]
        return last


@pytest.mark.parametrize(
    ("weakness", "who", "says"),
    [("is_own", "ann", "one's own word counted"), ("hindrance", "oli", "who in DECIDERS")],
)
def test_a_weaker_gateway_is_seen(
    weakness: str, who: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twins: one takes a person's own word, one takes everybody's."""
    monkeypatch.setattr(deciding, weakness, lambda *_: "" if weakness == "hindrance" else False)
    office = Office()
    office.open()
    try:
        office.ask(spec=SetPersona(agent=AGENT, persona="rude"), who="ann", grant_s=None)
        with pytest.raises(AssertionError, match=says):
            office.decide_and_look(who)
    finally:
        office.teardown()


TestOffice = Office.TestCase
TestOffice.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
