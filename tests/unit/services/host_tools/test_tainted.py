"""What an agent may not do by itself with foreign content before it; each with a twin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.services.host_tools.test_tasking import keep, told

from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.model import Destination, Upload
from ironclaw.domain.relaying import AGENT_CHANNEL
from ironclaw.domain.taint import Taint
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.entries import Called, Returned, Said
from ironclaw_contract.records import Step
from ironclaw_contract.rpc import Generate, Purpose

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk

    from ironclaw.domain.audit import AuditRecord
    from ironclaw_contract.entries import Entry

WISH = {"change": {"kind": "tools", "remove": ["clock"]}, "reason": "it is not needed"}
LETTER = {"destination": "ops", "text": "the disk is full"}
READ: list[Entry] = [
    Called(call="c1", name="read_file", arguments="{}"),
    Returned(call="c1", text="EVIL"),
]


async def shows(desk: Desk, *entries: Entry, purpose: Purpose = Purpose.TURN) -> None:
    """The model of the agent is shown this."""
    said = Said(message=desk.turn, sender="Ann", text="please", at_ms=0)
    call = Generate(
        call=1, turn=desk.turn, system="", entries=(said, *entries), tools=(),
        max_output_tokens=9, purpose=purpose,
    )  # fmt: skip
    await desk.taints.saw(desk.agent, desk.talk.session, call)


async def with_file(desk: Desk) -> None:
    await desk.talk.hear("see this", files=(Upload(name="a.txt", data=b"EVIL"),))


async def asked_with(desk: Desk) -> tuple[Taint, ...]:
    used = await desk.use("request_change", WISH)
    assert not used.is_error, used.text
    return desk.gateway.asked[-1].asker.tainted


async def marks(desk: Desk) -> list[AuditRecord]:
    records = await desk.core.audit.tail(limit=9)
    return [one for one in records if one.event is AuditEvent.DELIVERY_MARKED]


# --- what the desk knows --------------------------------------------------------------------------


async def test_a_clean_turn_asks_without_taint(desk: Desk):
    await shows(desk)
    assert await asked_with(desk) == ()


async def test_a_model_call_counts_before_any_record_tells_of_it(desk: Desk):
    await shows(desk, *READ)
    assert await asked_with(desk) == (Taint.READ,)


async def test_a_summary_of_former_turns_is_none_of_this_one(desk: Desk):
    await shows(desk, *READ, purpose=Purpose.SUMMARY)
    assert await asked_with(desk) == ()


async def test_what_is_researched_belongs_to_the_turn_whatever_comes_next(desk: Desk):
    await shows(desk, *READ, purpose=Purpose.RESEARCH)
    await shows(desk)
    assert await asked_with(desk) == (Taint.READ,)


async def test_a_record_counts_where_nobody_remembers_the_call(desk: Desk):
    step = Step(turn=desk.turn, index=0, entries=tuple(READ))
    await desk.core.ledger.begin_epoch(desk.talk.session, workspace="w")
    await desk.core.ledger.commit(desk.talk.session, 1, outbound(1, step))
    assert await asked_with(desk.again()) == (Taint.READ,)


async def test_a_box_that_names_another_turn_does_not_get_away(desk: Desk):
    """The turn under way counts whatever it names."""
    step = Step(turn=desk.turn, index=0, entries=tuple(READ))
    await desk.core.ledger.begin_epoch(desk.talk.session, workspace="w")
    await desk.core.ledger.commit(desk.talk.session, 1, outbound(1, step))
    used = await desk.again().use("request_change", WISH, turn="msg_of_somebody")
    assert not used.is_error, used.text
    assert desk.gateway.asked[-1].asker.tainted == (Taint.READ,)


async def test_a_file_stays_with_the_conversation(desk: Desk):
    await with_file(desk)
    assert await asked_with(desk.again()) == (Taint.FILE,)
    other = await desk.core.begin(name="other", place="elsewhere")
    assert await desk.core.ledger.taint_of(other.session) == frozenset()


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("tainted", [True, False])
async def test_a_task_is_done_now_in_a_clean_turn_alone(desk: Desk, tainted: bool):
    await keep(desk)
    await shows(desk, *(READ if tainted else ()))
    used = await desk.use("run_task", {"name": "daily"})
    assert used.is_error is tainted, used.text
    assert await told(desk) == ([] if tainted else ["do daily"])
    assert ("only your people have a task told now" in used.text) is tainted


@pytest.mark.parametrize("tainted", [True, False])
async def test_what_is_sent_elsewhere_says_what_there_was(desk: Desk, tainted: bool):
    await shows(desk, *(READ if tainted else ()))
    assert not (await desk.use("send_message", LETTER)).is_error
    (delivery,) = desk.hands.deliveries
    line, _, text = delivery.text.partition("\n\n")
    assert ((line, text) == ("the disk is full", "")) is not tainted
    if tainted:
        assert line.startswith("[IronClaw: ")
        assert "what a tool has read" in line
        assert text == "the disk is full"
    marked = await marks(desk)
    assert [(one.delivery, one.words) for one in marked] == (
        [(delivery.id, ("read",))] if tainted else []
    )


async def test_another_agent_is_told_nothing_above_the_words_and_the_audit_is(desk: Desk):
    peer = await desk.core.registry.create_agent(name="peer")
    await desk.become(
        destinations=(Destination(name="peer", channel=AGENT_CHANNEL, platform_id=peer.id),)
    )
    await shows(desk, *READ)
    used = await desk.use("send_message", {"destination": "peer", "text": "hello"})
    assert not used.is_error, used.text
    assert [one.text for one in desk.hands.deliveries] == ["hello"]
    (marked,) = await marks(desk)
    assert marked.words == ("read",)


@pytest.mark.parametrize("tainted", [True, False])
async def test_it_sees_itself_what_there_is(desk: Desk, tainted: bool):
    await shows(desk, *(READ if tainted else ()))
    rights = json.loads((await desk.use("my_rights", {})).text)
    assert rights.get("foreign") == (["read"] if tainted else None)
