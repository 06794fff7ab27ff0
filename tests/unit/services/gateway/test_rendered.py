"""Cards that are kept: rendered once, told apart by all that is on them, and not too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ironclaw.core.ids import ChangeId
from ironclaw.domain.cards import Told, render
from ironclaw.domain.change import Change
from ironclaw.domain.changes.base import Bearing
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.services.gateway import rendered
from ironclaw.services.gateway.rendered import Rendered
from ironclaw.testing.desk import AGENT, BY_AGENT, person

if TYPE_CHECKING:
    from ironclaw.domain.cards import Card
    from ironclaw.testing.desk import Desk

CHANGE = Change(
    id=ChangeId("chg_one"),
    spec=SetPersona(agent=AGENT, persona="You sing."),
    asker=BY_AGENT,
    created_ms=1,
    expires_ms=2,
)
TOLD = Told(
    before={"persona": ""}, after={"persona": "You sing."}, bearing=Bearing.ALTERS, revocable=True
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Change]:
    """What was rendered, each time."""
    times: list[Change] = []
    real = render

    def counted(change: Change, told: Told) -> Card:
        times.append(change)
        return real(change, told)

    monkeypatch.setattr(rendered, "render", counted)
    return times


async def test_what_is_listed_again_is_not_rendered_again(desk: Desk, made: list[Change]) -> None:
    for number in range(3):
        await desk.agent_asks(SetPersona(agent=AGENT, persona=f"You are {number}."))
    first = await desk.gateway.changes(actor=person("vic"))
    before = len(made)
    again = await desk.gateway.changes(actor=person("bob"))

    assert [one.card for one in again] == [one.card for one in first]
    assert len(made) == before


@pytest.mark.parametrize(
    "told",
    [
        TOLD._replace(before={"persona": "You dance."}),
        TOLD._replace(after={"persona": "You sing"}),
        TOLD._replace(bearing=Bearing.WIDENS),
        TOLD._replace(revocable=False),
        TOLD._replace(agent_name="other"),
        TOLD._replace(asker_name="other"),
        TOLD._replace(solo=True),
        TOLD._replace(only_owner=True),
        TOLD._replace(people=2),
    ],
)
def test_whatever_the_host_knows_otherwise_is_another_card(told: Told, made: list[Change]) -> None:
    cards = Rendered()
    cards.render(CHANGE, TOLD)
    cards.render(CHANGE, told)
    cards.render(CHANGE, TOLD)
    assert len(made) == 2


def test_the_longest_unseen_goes_when_there_are_too_many(
    made: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = Rendered()
    changes = [msgspec.structs.replace(CHANGE, id=ChangeId(f"chg_{at}")) for at in range(3)]
    size = len(msgspec.json.encode(cards.render(changes[0], TOLD)))
    monkeypatch.setattr(rendered, "MAX_CHARS", 2 * size)
    for change in (changes[1], changes[0], changes[2], changes[0]):
        cards.render(change, TOLD)
    assert len(made) == 3
    cards.render(changes[1], TOLD)
    assert len(made) == 4
