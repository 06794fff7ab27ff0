"""Ready-made agents: each is one that this house could make, and short enough for every call."""

from __future__ import annotations

import pytest

from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.agents import CreateAgent
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.tasks import AddTask
from ironclaw.domain.tools import TOOLS
from ironclaw.templates import MAX_PERSONA_BYTES, Template, template, templates

ALL = templates()
QUIET = "NOTHING TO REPORT"


def test_there_are_five_and_each_has_a_name_of_its_own() -> None:
    assert [one.name for one in ALL] == ["editor", "household", "research", "tutor", "watch"]
    assert template("watch") in ALL
    with pytest.raises(UserError, match="no template"):
        template("nobody")


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_it_is_what_can_be_asked_for(one: Template) -> None:
    agent = AgentId("agt_x")
    limits = {
        name: getattr(one.limits, name)
        for name in one.limits.__struct_fields__
        if getattr(one.limits, name) is not None
    }
    specs = [
        CreateAgent(name=one.name, persona=one.persona, tools=one.tools),
        SetLimits(agent=agent, **limits),
        *(
            AddTask(
                agent=agent,
                name=task.name,
                channel="api",
                platform_id="x",
                prompt=task.prompt,
                cron=task.cron,
                quiet=task.quiet,
            )
            for task in one.tasks
        ),
    ]
    assert limits
    assert len(specs) == 2 + len(one.tasks)
    assert set(one.tools) <= TOOLS.keys()
    assert len(set(one.tools)) == len(one.tools)
    assert one.asks


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_its_persona_is_short_and_has_all_three_parts(one: Template) -> None:
    assert len(one.persona.encode()) <= MAX_PERSONA_BYTES
    assert all(len(part.strip()) > 100 for part in (one.identity, one.soul, one.instructions))


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_quiet_task_says_how_to_be_quiet(one: Template) -> None:
    assert all(QUIET in task.prompt for task in one.tasks if task.quiet)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_what_it_is_told_to_use_it_has(one: Template) -> None:
    said = one.persona + "".join(task.prompt for task in one.tasks)
    named = {tool for tool in TOOLS if "_" in tool and tool in said}
    assert named <= set(one.tools)
    if "memory" in said:
        assert {"memory_read", "memory_write"} <= set(one.tools)
