"""What is told to the process that looks into a memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import new_id
from ironclaw.domain.memories import pack, unpack
from ironclaw.services.memory import MAX_FOREIGN
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES


@given(st.lists(st.from_regex(r"\Ases_[a-z0-9]{1,20}\Z")))
def test_sessions_arrive_as_they_were_sent(sessions: list[str]) -> None:
    assert unpack(pack(sessions)) == tuple(sessions)


def test_as_many_as_are_ever_told_fit() -> None:
    """The process reads no more than a topic has."""
    assert len(pack([new_id("ses")] * MAX_FOREIGN)) <= MAX_TOPIC_BYTES
