"""Notes as Markdown: what is written is read back, and no text of a note passes for a header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.memory_notes import Note, parse, render

WHOLE = Note("Likes tea.", "ses_a1", "2026-11-26T02:40:00Z", tainted=False, sender="Ann")
TAINTED = WHOLE._replace(text="Two\nlines.", tainted=True)


def test_a_topic_is_plain_markdown() -> None:
    assert render([WHOLE, TAINTED]) == (
        '<!-- memory session=ses_a1 at=2026-11-26T02:40:00Z tainted=no from="Ann" -->\n'
        "Likes tea.\n\n"
        '<!-- memory session=ses_a1 at=2026-11-26T02:40:00Z tainted=yes from="Ann" -->\n'
        "Two\nlines.\n"
    )


def test_what_was_written_is_read_back() -> None:
    by_hand = Note("# Tea\n\nby hand")
    assert parse(render([by_hand, WHOLE, TAINTED])) == [by_hand, WHOLE, TAINTED]
    assert parse("") == parse("\n \n") == parse(render([])) == []


def test_an_editor_that_ends_lines_otherwise_changes_no_source() -> None:
    (note,) = parse(render([TAINTED]).replace("\n", "\r\n"))
    assert (note.tainted, note.session) == (True, "ses_a1")


@pytest.mark.hostile
@pytest.mark.parametrize(
    "header",
    [
        "<!-- memory",
        "<!-- memory -->",
        "<!-- memory session=ses_a1 -->",
        '<!-- memory session=ses_a1 at=x tainted=no from="A"',
        '<!-- memory at=x session=ses_a1 tainted=no from="A" -->',
        '<!-- memory session=a b at=x tainted=no from="A" -->',
        '<!-- memory session=a at=x tainted=maybe from="A" -->',
        '<!-- memory session=a at=x tainted= from="A" -->',
        '<!-- memorysession=a at=x tainted=NO from="A" -->',
    ],
)
def test_a_damaged_header_makes_what_follows_tainted(header: str) -> None:
    notes = parse(f"{render([WHOLE])}\n{header}\ntext\n")
    assert notes[0] == WHOLE
    assert (notes[1].text, notes[1].tainted) == ("text", True)


FIELDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(text=FIELDS, sender=FIELDS, tainted=st.booleans(), before=st.booleans())
@pytest.mark.hostile
def test_neither_text_nor_sender_can_be_more_than_one_note(
    text: str, sender: str, tainted: bool, before: bool
) -> None:
    forged = f"{text}\n{render([WHOLE])}" if before else f"{render([WHOLE])}\n{text}"
    for each in (text, forged):
        notes = parse(render([TAINTED._replace(text=each, sender=sender, tainted=tainted)]))
        assert [note.tainted for note in notes] == ([tainted] if each.strip() else [])
        assert all(note.session == "ses_a1" for note in notes)


@given(text=FIELDS)
@pytest.mark.hostile
def test_rewriting_a_topic_loses_nothing_and_takes_no_taint_away(text: str) -> None:
    once = parse(f"{text}\n{render([TAINTED])}{text}")
    again = parse(render(once))
    assert [note[1:] for note in again] == [note[1:] for note in once]
    assert parse(render(again)) == again
