"""What a fresh box is told, cut to the wall's limits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ironclaw.core.ids import AgentId, ChatId, MessageId, SessionId
from ironclaw.domain.model import Agent, Message, Skill
from ironclaw.domain.ports import Resume
from ironclaw.services.briefing import BATCH_BYTES, batches, first_records, message_record
from ironclaw.services.parts import SessionLimits
from ironclaw_contract import records
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.limits import MAX_BODY_BYTES, MAX_SEGMENT_BYTES
from ironclaw_contract.records import History, Setup, encode_body

AGENT = Agent(id=AgentId("agt_a"), name="demo", persona="kind", tools=("read_file",))
NOTHING = Resume(entries=(), turn=None, turn_entries=(), turn_index=0)


def message(number: int, text: str = "hi") -> Message:
    return Message(
        id=MessageId(f"msg_{number}"),
        session=SessionId("ses_a"),
        chat=ChatId("cht_a"),
        thread=None,
        sender="Ann",
        text=text,
        at_ms=number,
        engage=True,
    )


def test_a_first_life_is_told_who_it_is_and_nothing_else() -> None:
    (setup,) = first_records(AGENT, NOTHING, SessionLimits())

    assert isinstance(setup, Setup)
    assert ("demo", "kind", ("read_file",)) == (setup.agent, setup.persona, setup.tools)


def test_a_box_is_told_of_skills_and_when_to_use_them() -> None:
    birds = Skill(name="birds", digest=f"sha256:{'0' * 64}", description="Know birds.")
    (setup,) = first_records(structs.replace(AGENT, skills=(birds,)), NOTHING, SessionLimits())

    assert isinstance(setup, Setup)
    assert setup.skills == (records.Skill("birds", "Know birds."),)


def test_an_open_turn_comes_last_with_its_next_step() -> None:
    past = Resume(
        entries=(Said("msg_1", "Ann", "hi", 1), Answered("hello")),
        turn=MessageId("msg_2"),
        turn_entries=(Said("msg_2", "Ann", "go", 2),),
        turn_index=1,
    )

    _, history, turn = first_records(AGENT, past, SessionLimits())

    assert history == History(entries=past.entries)
    assert turn == History(entries=past.turn_entries, turn="msg_2", index=1)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 200_000), max_size=30))
def test_history_of_any_size_keeps_its_order_and_fits_the_wall(sizes: list[int]) -> None:
    entries = tuple(Answered("ü" * (size // 2)) for size in sizes)
    past = NOTHING._replace(entries=entries)

    bodies = first_records(AGENT, past, SessionLimits())
    groups = list(batches(bodies))

    parts = [body for body in bodies if isinstance(body, History)]
    assert entries == tuple(entry for part in parts for entry in part.entries)
    assert all(len(encode_body(body)) <= MAX_BODY_BYTES for body in bodies)
    assert bodies == [body for group in groups for body in group]
    sums = [sum(len(encode_body(body)) for body in group) for group in groups]
    assert all(total <= max(BATCH_BYTES, MAX_BODY_BYTES) < MAX_SEGMENT_BYTES for total in sums)


def test_a_message_record_carries_the_ledgers_id() -> None:
    record = message_record(message(7, "text"), place="here")

    assert ("msg_7", "text", True) == (record.message, record.text, record.engage)
