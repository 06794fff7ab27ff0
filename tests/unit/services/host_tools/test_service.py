"""Every use is answered, whatever a box says, and only what the agent holds now is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.past_gateway import archive_agent

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.domain.tools import HOST_TOOLS
from ironclaw.services.host_tools.pace import Pace
from ironclaw.services.host_tools.service import USED_PER_MINUTE, HostToolService, Parts
from ironclaw.services.host_tools.tool import NotDoneError
from ironclaw_contract.limits import MAX_USED_CHARS
from ironclaw_contract.rpc import Use

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk

ARGUMENTS = {
    "conversation_search": {"query": "garage"},
    "request_change": {"change": {"kind": "persona", "persona": "x"}, "reason": "r"},
    "withdraw_change": {"change": "chg_0"},
    "my_rights": {},
    "run_task": {"name": "daily"},
    "tasks": {},
    "send_message": {"destination": "ops", "text": "hi"},
}


def test_every_host_tool_has_an_implementation():
    assert set(ARGUMENTS) == HOST_TOOLS


@pytest.mark.parametrize("tool", sorted(HOST_TOOLS))
async def test_a_tool_that_is_not_held_now_does_nothing(desk: Desk, tool: str):
    await desk.become(tools=tuple(HOST_TOOLS - {tool}))
    used = await desk.use(tool, ARGUMENTS[tool])
    assert (used.is_error, used.text[:12]) == (True, "not granted:")
    assert (desk.gateway.asked, desk.gateway.withdrawn, desk.hands.deliveries) == ([], [], [])


@pytest.mark.parametrize("tool", sorted(HOST_TOOLS))
async def test_an_answer_of_before_is_not_given_to_who_lost_the_tool(desk: Desk, tool: str):
    await desk.use(tool, ARGUMENTS[tool])
    await desk.become(tools=())
    assert (await desk.use(tool, ARGUMENTS[tool])).is_error


@pytest.mark.parametrize("tool", sorted(HOST_TOOLS))
async def test_an_archived_agent_does_nothing(desk: Desk, tool: str):
    await archive_agent(desk.core.registry, "helper")
    used = await desk.use(tool, ARGUMENTS[tool])
    assert used.is_error
    assert (desk.gateway.asked, desk.hands.deliveries) == ([], [])


@pytest.mark.parametrize("tool", ["write_file", "clock", "", "use", "__init__"])
async def test_what_is_no_host_tool_is_not_granted(desk: Desk, tool: str):
    await desk.become(tools=(tool,))
    assert (await desk.use(tool, {})).is_error


async def test_a_flood_of_uses_is_slowed_down_whatever_is_used(desk: Desk):
    for number in range(USED_PER_MINUTE):
        tool = ("my_rights", "withdraw_change")[number % 2]
        used = await desk.use(tool, ARGUMENTS[tool], key=f"k{number}")
        assert "rate_limited" not in used.text
    for tool, arguments in ARGUMENTS.items():
        assert "rate_limited" in (await desk.use(tool, arguments, key="more")).text
    desk.clock.advance(61)
    assert not (await desk.use("my_rights", {}, key="later")).is_error


class _Nothing:
    """A house in which everything fails."""

    def __getattr__(self, name: str) -> object:
        async def failing(*_: object, **__: object) -> None:
            raise HostError(Code.STORE_FAILED, "/secret/path", hint="/secret/path")

        return failing


class _Agents:
    async def agent(self, ref: str) -> Agent:
        if ref == "agt_none":
            raise UserError(Code.NOT_FOUND, "There is no agent.", hint="x")
        return Agent(id=AgentId(ref), name="helper", tools=tuple(HOST_TOOLS))


def _failing_house() -> HostToolService:
    nothing = _Nothing()
    return HostToolService(
        Parts(
            agents=_Agents(),
            gateway=nothing,  # type: ignore[arg-type]
            requests=nothing,  # type: ignore[arg-type]
            letters=nothing,  # type: ignore[arg-type]
            hands=nothing,  # type: ignore[arg-type]
            tasks=nothing,  # type: ignore[arg-type]
            runs=nothing,  # type: ignore[arg-type]
            usages=nothing,  # type: ignore[arg-type]
            finds=nothing,  # type: ignore[arg-type]
            taints=nothing,  # type: ignore[arg-type]
            clock=ManualClock(),
        )
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["change", "reason", "kind", "agent", "text", "destination", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tool=st.sampled_from(sorted(HOST_TOOLS)) | st.text(max_size=10),
    arguments=st.text(max_size=200) | _JSON.map(lambda value: str(value).replace("'", '"')),
    turn=st.text(max_size=64),
    key=st.text(max_size=64),
)
async def test_whatever_a_box_says_is_answered(tool: str, arguments: str, turn: str, key: str):
    use = Use(call=1, turn=turn, key=key, tool=tool, arguments=arguments)
    used = await _failing_house().use(AgentId("agt_a"), SessionId("ses_a"), use)
    assert used.call == 1
    assert used.is_error
    assert 0 < len(used.text) <= MAX_USED_CHARS
    assert "/secret" not in used.text


async def test_an_agent_that_is_not_there_is_answered_too():
    use = Use(call=1, turn="t", key="k", tool="my_rights", arguments="{}")
    used = await _failing_house().use(AgentId("agt_none"), SessionId("ses_a"), use)
    assert used.is_error


def test_a_pace_is_for_each_agent_by_itself_and_slides():
    clock = ManualClock()
    pace = Pace(most=2, window_s=10, clock=clock)
    one, other = AgentId("agt_a"), AgentId("agt_b")
    pace.take(one)
    clock.advance(6)
    pace.take(one)
    with pytest.raises(NotDoneError, match="in 5 seconds"):
        pace.take(one)
    pace.take(other)
    clock.advance(4)
    pace.take(one)
    with pytest.raises(NotDoneError):
        pace.take(one)


def test_what_costs_more_waits_for_as_much_room():
    clock = ManualClock()
    pace = Pace(most=5, window_s=10, clock=clock)
    agent = AgentId("agt_a")
    pace.take(agent, cost=3)
    clock.advance(4)
    with pytest.raises(NotDoneError, match="in 7 seconds"):
        pace.take(agent, cost=4)
    pace.take(agent, cost=2)
    clock.advance(10)
    pace.take(agent, cost=100)
    with pytest.raises(NotDoneError, match="in 11 seconds"):
        pace.take(agent)
