"""Drafts stay few and short, whatever is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import ChatId, MessageId, SessionId
from ironclaw.services.drafts import MAX_CHARS, MAX_DRAFTS, Drafts
from ironclaw.services.house import ChatEvent


def piece(chat: int, message: int, text: str) -> ChatEvent:
    return ChatEvent(
        id=0,
        kind="progress",
        chat=ChatId(f"cht_{chat}"),
        thread=None,
        session=SessionId("ses_s"),
        message=MessageId(f"msg_{message}"),
        sender="",
        text=text,
        at_ms=0,
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.text(max_size=5))))
def test_a_draft_is_its_pieces_in_order(said: list[tuple[int, int, str]]) -> None:
    drafts = Drafts()
    for chat, message, text in said:
        drafts.add(piece(chat, message, text))

    for chat in range(3):
        shown = {draft.message: draft.text for draft in drafts.of(ChatId(f"cht_{chat}"))}
        for message, text in shown.items():
            assert text == "".join(t for c, m, t in said if (c, f"msg_{m}") == (chat, message))


def test_neither_length_nor_number_grows_without_end() -> None:
    drafts = Drafts()
    for number in range(MAX_DRAFTS + 5):
        drafts.add(piece(0, number, "x"))
    for _ in range(3):
        drafts.add(piece(0, MAX_DRAFTS, "y" * (MAX_CHARS // 2)))

    kept = list(drafts.of(ChatId("cht_0")))
    assert len(kept) == MAX_DRAFTS
    assert max(len(draft.text) for draft in kept) <= MAX_CHARS
    drafts.drop(ChatId("cht_0"), MessageId("msg_0"))
