"""What providers want back: sealed for one session and one model, or left out."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from tests.support.model_house import generate

from ironclaw.core.ids import SessionId
from ironclaw.models.thoughts import Sealer
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said, Thought
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.limits import MAX_OPAQUE_CHARS
from ironclaw_contract.rpc import Generate, Generated, Stop

SESSION, OTHER = SessionId("ses_1"), SessionId("ses_2")
MODEL = "claude/claude-sonnet-4-5"
HELLO = Said(message="msg_1", sender="Ann", text="hi", at_ms=0)


def generated(*entries: Answered | Thought | Called) -> Generated:
    return Generated(call=1, entries=entries, stop=Stop.END)


def sent(*entries: Entry) -> Generate:
    return generate(HELLO, *entries)


@given(st.text(max_size=200), st.text(min_size=1, max_size=200))
def test_what_was_sealed_opens_again_for_the_same_session_and_model(text: str, opaque: str) -> None:
    sealer = Sealer()
    thought = Thought(text=text, opaque=opaque)
    whole = sealer.seal(generated(thought, Answered(text="Hi")), SESSION, MODEL)
    sealed, answered = whole.entries

    assert decode_tell(pack(whole)[4:]) == whole
    assert isinstance(sealed, Thought)
    assert answered == Answered(text="Hi")
    assert sealer.open(sent(sealed), SESSION, MODEL).entries == (HELLO, thought)
    for session, model in ((OTHER, MODEL), (SESSION, "other/m"), (SESSION, f"{MODEL}x")):
        assert sealer.open(sent(sealed), session, model).entries == (HELLO,)
    assert Sealer().open(sent(sealed), SESSION, MODEL).entries == (HELLO,), "after a restart"


def test_a_box_learns_nothing_of_whose_thought_it_is() -> None:
    opaque = '{"of":"thought","id":"rs_1","signature":"sig-of-somebody"}'

    (sealed,) = Sealer().seal(generated(Thought(opaque=opaque)), SESSION, MODEL).entries

    raw = base64.b64decode(sealed.opaque)
    assert not any(word in raw for word in (b"rs_1", b"sig-of", b"thought", b"claude"))


@given(st.data())
def test_what_a_box_makes_up_or_alters_never_gets_to_a_provider(data: st.DataObject) -> None:
    sealer = Sealer()
    thought = Thought(text="I think", opaque="sig")
    (sealed,) = sealer.seal(generated(thought), SESSION, MODEL).entries
    flipped = bytearray(base64.b64decode(sealed.opaque))
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= data.draw(st.integers(1, 255))
    altered = (
        Thought(text="I think", opaque=base64.b64encode(flipped).decode()),
        Thought(text="I thought", opaque=sealed.opaque),
        Thought(text="I think"),
        Thought(text="I think", opaque=data.draw(st.text(max_size=99))),
        Thought(text="I think", opaque="sig"),
    )
    others = (Called(call="c", name="look", arguments="{}"), Returned(call="c", text="x"))

    left = sealer.open(sent(*altered, *others), SESSION, MODEL)

    assert left.entries == (HELLO, *others)


def test_what_does_not_fit_a_record_is_not_kept_but_its_words_are() -> None:
    sealer = Sealer()
    fits = MAX_OPAQUE_CHARS // 4 * 3 - 28
    for size, is_kept in ((fits, True), (fits + 1, False)):
        thought = Thought(text="long", opaque="x" * size)
        whole = sealer.seal(generated(thought), SESSION, MODEL)
        (sealed,) = whole.entries
        assert decode_tell(pack(whole)[4:]) == whole
        assert sealed.text == "long"
        assert bool(sealed.opaque) is is_kept
