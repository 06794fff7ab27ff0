"""Views: what is foreign is visible, and the buttons are those that work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.change import Status
from ironclaw.domain.changes.access import GiveRole
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.model import Role
from ironclaw.domain.rights import Right
from ironclaw.testing.desk import AGENT, person

if TYPE_CHECKING:
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.testing.desk import Desk

WRITE = SetTools(agent=AGENT, add=("write_file",))


def pressed(view: ChangeView) -> list[str]:
    return [one.action for one in view.buttons]


@pytest.mark.parametrize(
    ("who", "actions"),
    [
        ("ann", ["approve", "deny", "withdraw"]),
        ("bob", ["approve", "deny", "withdraw"]),
        ("oli", ["withdraw"]),
        ("vic", []),
    ],
)
async def test_the_buttons_of_a_request_are_those_that_work(
    desk: Desk, who: str, actions: list[str]
) -> None:
    asked = await desk.ask(WRITE, who="oli")
    view = await desk.gateway.show(asked.row.change.id, actor=person(who))
    assert pressed(view) == actions
    assert view.may_decide == ("approve" in actions)
    assert bool(view.why_not) != view.may_decide


async def test_a_request_about_an_agent_that_has_ended_says_so_and_has_no_yes(desk: Desk) -> None:
    asked = await desk.ask(WRITE)
    desk.setting.agents[AGENT] = msgspec.structs.replace(desk.agent, archived=True)

    (view,) = await desk.gateway.changes(actor=person("ann"))

    assert pressed(view) == ["deny", "withdraw"]
    assert view.not_yet == "The agent helper has ended."
    assert f"ironclaw agent restore {AGENT}" in view.way_on
    assert any(view.not_yet in notice for notice in view.card.notices)
    with pytest.raises(UserError, match="has ended"):
        await desk.approve(asked, "ann")
    assert (await desk.store.row(asked.row.change.id)).status is Status.PENDING


async def test_a_request_for_what_is_so_for_a_time_says_until_when_and_by_what(desk: Desk) -> None:
    asked = await desk.ask(WRITE)
    lent = await desk.approve(await desk.ask(WRITE, "ann", grant_s=60), "amy")
    assert lent.row.grant is not None

    view = await desk.gateway.show(asked.row.change.id, actor=person("bob"))

    assert "approve" not in pressed(view)
    said = "\n".join(view.card.notices)
    assert "It is so already for a time: until 20" in said
    assert f"or was taken back: `ironclaw grant revoke {lent.row.grant.id}`" in said
    assert "Nothing would be different" not in said
    await desk.gateway.revoke(lent.row.grant.id, actor=person("amy"))
    view = await desk.gateway.show(asked.row.change.id, actor=person("bob"))
    assert (view.not_yet, "approve" in pressed(view)) == ("", True)


async def test_a_token_takes_buttons_away(desk: Desk) -> None:
    asked = await desk.ask(WRITE)
    view = await desk.gateway.show(asked.row.change.id, actor=person("ann", Right.READ))
    assert pressed(view) == []


async def test_what_was_given_can_be_taken_back_until_it_has_been(desk: Desk) -> None:
    view = await desk.approve(await desk.ask(WRITE))
    assert pressed(view) == ["revoke"]
    assert view.row.grant is not None
    await desk.gateway.revoke(view.row.grant.id, actor=person("bob"))
    assert pressed(await desk.gateway.show(view.row.change.id, actor=person("bob"))) == []


async def test_a_grant_is_a_line_in_which_nothing_is_invisible(desk: Desk) -> None:
    foul = GiveRole(principal=PrincipalId("api:e\u202eve"), role=Role.VIEWER, agent=AGENT)
    await desk.approve(await desk.ask(foul, who="ann"), "amy")
    (view,) = await desk.gateway.grants(actor=person("ann"))
    assert view.agent_name == "helper"
    assert "api:e\\u202eve" in view.title
    assert view.title.endswith("a viewer of the agent helper")


async def test_no_text_of_a_grant_passes_for_another_field_or_another_text(desk: Desk) -> None:
    posing = GiveRole(
        principal=PrincipalId('api:\u0430nn"; role: viewer'), role=Role.VIEWER, agent=AGENT
    )
    await desk.approve(await desk.ask(posing, who="ann"), "amy")
    (view,) = await desk.gateway.grants(actor=person("ann"))
    shown = r'"api:\u0430nn\"; role: viewer"'
    assert view.title == f"Make {shown} a viewer of the agent helper"


async def test_long_things_are_short_in_a_line(desk: Desk) -> None:
    long = GiveRole(principal=PrincipalId(f"api:{'x' * 200}"), role=Role.VIEWER, agent=AGENT)
    await desk.approve(await desk.ask(long, who="ann"), "amy")
    (view,) = await desk.gateway.grants(actor=person("ann"))
    assert len(view.title) < 160


async def test_a_view_of_what_was_applied_shows_what_it_changed(desk: Desk) -> None:
    view = await desk.approve(await desk.ask(WRITE))
    assert [(one.sign, one.text) for one in view.card.diff if "write_file" in one.text]
    assert view.row.before is not None
    assert view.row.before["tools"] == ["read_file"]
