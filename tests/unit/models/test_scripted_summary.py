"""The scripted model's summaries: facts stay for good, and the box's own form is found again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.models.scripted_summary import MOST_CHARS, SUMMED_UP, sum_up, summary_in
from ironclaw_agent.compaction import RECORD, SINCE, rendered
from ironclaw_agent.context import summed_up, system_text
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.records import Setup


def asked(former: str, *texts: str) -> str:
    entries = [Said(message="m", sender="Ann (x)", text=text, at_ms=0) for text in texts]
    return f"{RECORD}\n{former}\n\n{SINCE}\n{rendered((*entries, Answered('yes')))}"


def test_the_first_sentence_of_each_message_is_kept():
    assert sum_up(asked("(nothing)", "Hi there. More.", "Why? Because.")) == (
        "- Ann (x): Hi there.\n- Ann (x): Why?"
    )


def test_facts_stay_and_the_oldest_of_the_rest_go():
    record = sum_up(asked("(nothing)", "Fact: the key is 42."))
    for number in range(60):
        record = sum_up(asked(record, f"message {number} " + "x" * 100))
    assert record.startswith("- Ann (x): Fact: the key is 42.")
    assert "message 59" in record
    assert "message 0 " not in record
    assert len(record) <= MOST_CHARS


def test_a_summary_is_found_where_the_box_puts_it():
    setup = Setup(agent="a", persona="You test.", tools=())
    system = system_text(setup) + summed_up("- one\n\n- two") + "\n\nTopics of your memory"
    assert SUMMED_UP in system
    assert summary_in(system) == "- one\n\n- two"
    assert summary_in(system_text(setup)) == ""


@given(st.text(), st.lists(st.text(), max_size=5))
def test_whatever_it_is_asked_it_is_bounded_and_says_something(former: str, texts: list[str]):
    assert 0 < len(sum_up(asked(former, *texts))) <= MOST_CHARS
    assert 0 < len(sum_up(former)) <= MOST_CHARS
