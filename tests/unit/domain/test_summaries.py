"""A change in one line: whose it is, what it does, and nothing that misleads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.specs import changes

from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.changes.access import GiveRole, TakeRole
from ironclaw.domain.changes.agents import ArchiveAgent, CreateAgent
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.policies import SetPolicy, state_of
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.characters import danger
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Policy
from ironclaw.domain.summaries import summary

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import Spec

AGENT = AgentId("agt_a")
ANN = PrincipalId("api:ann")


@pytest.mark.parametrize("kind", SPECS)
@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_change_is_one_short_line_in_which_nothing_hides(
    kind: str, data: st.DataObject
) -> None:
    spec = data.draw(changes(kind)).spec
    line = summary(spec, agent="scribe")

    assert line.isascii() or "…" in line
    assert not any(danger(one) for one in line)
    assert 0 < len(line) < 4000
    if spec.agent_id is not None:
        assert "scribe" in line


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (SetTools(agent=AGENT, add=("write_file",)), "scribe: give the tool write_file"),
        (
            SetTools(agent=AGENT, add=("clock", "evil"), remove=("todo",)),
            'scribe: give the tools clock, "evil"; take away the tool todo',
        ),
        (ArchiveAgent(agent=AGENT), "End the agent scribe"),
        (CreateAgent(name="x", tools=("clock",)), "Make the agent x, with the tool clock"),
        (GiveRole(principal=ANN, role=Role.APPROVER), "Make api:ann an approver of all agents"),
        (
            TakeRole(principal=ANN, role=Role.ADMIN, agent=AGENT),
            "Make api:ann no longer an admin of the agent scribe",
        ),
        (SetLimits(agent=AGENT, memory_bytes=2**28), "scribe: memory 256 MiB"),
        (
            GiveRole(principal=PrincipalId("api:ann an owner"), role=Role.VIEWER),
            'Make "api:ann an owner" a viewer of all agents',
        ),
    ],
)
def test_it_says_whose_it_is_and_what_it_does(spec: Spec, line: str) -> None:
    assert summary(spec, agent="scribe") == line


def test_what_is_another_of_a_policy_is_named() -> None:
    before = state_of(Policy())

    assert summary(SetPolicy(policy=Policy(solo=True)), before=before) == "Solo mode on"
    two = SetPolicy(policy=Policy(solo=True, max_pending=3))
    assert summary(two, before=before) == "Policy: change solo mode, requests that may wait"
    assert summary(two) == SetPolicy.title
