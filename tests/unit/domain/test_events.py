"""What a channel heard is taken as it is or refused whole, whatever it holds."""

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.events import MAX_ID_CHARS, MAX_SENDER_CHARS, checked
from ironclaw.domain.model import Event
from ironclaw_contract.limits import MAX_TEXT_BYTES

EVENT = Event(
    channel="api", platform_id="desk", handle="ann", sender="Ann", text="Hello.", external_id="1"
)
ANY = st.text(st.characters(), max_size=MAX_ID_CHARS + 2)


@given(text=ANY, sender=ANY, handle=ANY, thread=st.none() | ANY)
def test_what_is_taken_is_bounded_clean_and_otherwise_as_it_was(
    text: str, sender: str, handle: str, thread: str | None
) -> None:
    event = msgspec.structs.replace(EVENT, text=text, sender=sender, handle=handle, thread=thread)
    try:
        taken = checked(event)
    except UserError:
        return
    assert msgspec.structs.replace(taken, sender=sender) == event
    assert "\0" not in taken.text
    assert len(taken.sender) <= MAX_SENDER_CHARS
    for value in (taken.sender, taken.handle, taken.thread or ""):
        assert not any(unicodedata.category(char) == "Cc" for char in value)
    msgspec.json.encode(taken)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("text", "ä" * (MAX_TEXT_BYTES // 2 + 1), Code.TOO_LARGE),
        ("text", " \n", Code.INVALID),
        ("text", "a\0b", Code.INVALID),
        ("text", "half \ud83d", Code.INVALID),
        ("sender", "half \ud83d", Code.INVALID),
        ("handle", "", Code.INVALID),
        ("handle", "a\nb", Code.INVALID),
        ("external_id", "x" * (MAX_ID_CHARS + 1), Code.INVALID),
        ("thread", "", Code.INVALID),
    ],
)
def test_what_cannot_be_kept_is_refused(field: str, value: str, code: Code) -> None:
    with pytest.raises(UserError) as caught:
        checked(msgspec.structs.replace(EVENT, **{field: value}))

    assert caught.value.code is code
    assert caught.value.hint
