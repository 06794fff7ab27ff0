"""Routing: engagement, refusal and seats are pure and cannot be held up by a pattern."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId, PrincipalId, WiringId
from ironclaw.domain.model import (
    Chat,
    Engage,
    Event,
    Ignored,
    Partition,
    Role,
    SenderScope,
    Standing,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.routing import (
    MATCH_BYTES,
    MAX_PATTERN,
    Action,
    compile_pattern,
    decide,
    is_engaged,
    seat_of,
)

AGENT = AgentId("agt_a")
MEMBER = (Standing(principal=PrincipalId("api:ann"), role=Role.MEMBER, agent=AGENT),)


def event(text: str = "hello", *, mentioned: bool = False, thread: str | None = None) -> Event:
    return Event(
        channel="api", platform_id="p", handle="ann", sender="Ann", text=text,
        external_id="1", thread=thread, mentioned=mentioned,
    )  # fmt: skip


def wiring(
    engage: Engage = Engage.PATTERN,
    pattern: str = ".",
    *,
    ignored: Ignored = Ignored.DROP,
    partition: Partition = Partition.SHARED,
    scope: SenderScope = SenderScope.KNOWN,
) -> Wiring:
    return Wiring(
        id=WiringId("wir_w"), chat=ChatId("cht_c"), agent=AGENT, engage=engage, pattern=pattern,
        ignored=ignored, partition=partition, sender_scope=scope,
    )  # fmt: skip


def chat(unknown: UnknownSender = UnknownSender.DROP) -> Chat:
    return Chat(id=ChatId("cht_c"), channel="api", platform_id="p", unknown_sender=unknown)


@pytest.mark.parametrize(
    ("engage", "mentioned", "stuck", "expected"),
    [
        (Engage.MENTION, False, False, False),
        (Engage.MENTION, True, False, True),
        (Engage.MENTION, False, True, False),
        (Engage.MENTION_STICKY, False, False, False),
        (Engage.MENTION_STICKY, True, False, True),
        (Engage.MENTION_STICKY, False, True, True),
    ],
)
def test_mention_modes(engage: Engage, *, mentioned: bool, stuck: bool, expected: bool):
    assert is_engaged(wiring(engage), event(mentioned=mentioned), stuck=stuck) is expected


def test_a_pattern_is_searched_anywhere_and_the_dot_takes_everything():
    assert is_engaged(wiring(pattern=r"(?i)\bhey\b"), event("oh HEY you"), stuck=False)
    assert not is_engaged(wiring(pattern="^you"), event("hey you"), stuck=False)
    assert is_engaged(wiring(), event("\n"), stuck=False)
    assert is_engaged(wiring(pattern="ü+"), event("grüße"), stuck=False)


def test_only_the_beginning_of_a_giant_text_is_looked_at():
    text = "x" * MATCH_BYTES + "needle"
    assert not is_engaged(wiring(pattern="needle"), event(text), stuck=False)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)*b", "(.*a){20}", "a*a*a*a*a*b", "(x+x+)+y"])
def test_no_pattern_holds_the_core_up(pattern: str):
    before = time.perf_counter()
    is_engaged(wiring(pattern=pattern), event("a" * MATCH_BYTES + "!"), stuck=False)
    assert time.perf_counter() - before < 2.0


@pytest.mark.parametrize(
    "pattern", ["", "(", "(?=a)", r"(a)\1", "*", "x" * (MAX_PATTERN + 1), "\ud800",
                "((a{500}){500}){500}"],
)  # fmt: skip
def test_a_pattern_outside_the_grammar_is_refused(pattern: str):
    with pytest.raises(UserError) as caught:
        compile_pattern(pattern)
    assert caught.value.code is Code.INVALID
    assert caught.value.hint


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_pattern_either_compiles_or_is_refused_and_matching_never_raises(
    pattern: str, text: str
):
    is_engaged(wiring(pattern=pattern), event(text), stuck=False)


def test_strangers_are_refused_with_a_reason_and_never_accumulated():
    for ignored in Ignored:
        silent = wiring(Engage.MENTION, ignored=ignored)
        verdict = decide(silent, chat(), event(), (), stuck=False)
        assert verdict.action is Action.DROP
        assert not verdict.refused
        verdict = decide(silent, chat(), event(mentioned=True), (), stuck=False)
        assert (verdict.action, verdict.reason) == (Action.DROP, "unknown_sender")
        assert verdict.refused


def test_members_are_engaged_accumulated_or_dropped():
    assert decide(wiring(), chat(), event(), MEMBER, stuck=False).action is Action.ENGAGE
    mention = wiring(Engage.MENTION)
    assert decide(mention, chat(), event(), MEMBER, stuck=False) == (
        Action.DROP, "not_engaged", False,
    )  # fmt: skip
    keep = wiring(Engage.MENTION, ignored=Ignored.ACCUMULATE)
    assert decide(keep, chat(), event(), MEMBER, stuck=False).action is Action.ACCUMULATE


@given(
    engage=st.sampled_from(Engage),
    ignored=st.sampled_from(Ignored),
    scope=st.sampled_from(SenderScope),
    unknown=st.sampled_from([UnknownSender.DROP, UnknownSender.ASK]),
    mentioned=st.booleans(),
    stuck=st.booleans(),
)
def test_a_stranger_in_a_chat_that_is_not_public_never_gets_through(
    *,
    engage: Engage,
    ignored: Ignored,
    scope: SenderScope,
    unknown: UnknownSender,
    mentioned: bool,
    stuck: bool,
):
    verdict = decide(
        wiring(engage, ignored=ignored, scope=scope),
        chat(unknown),
        event(mentioned=mentioned),
        (),
        stuck=stuck,
    )
    assert verdict.action is Action.DROP


def test_seats_follow_the_partition():
    one, two = event(thread="1"), event(thread="2")
    shared = wiring(partition=Partition.SHARED)
    assert seat_of(shared, one) == seat_of(shared, two)
    threads = wiring(partition=Partition.PER_THREAD)
    assert seat_of(threads, one) != seat_of(threads, two)
    agent = seat_of(wiring(partition=Partition.AGENT_SHARED), one)
    assert (agent.chat, agent.thread) == (None, None)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_two_seats_have_one_key(chat_a: str, thread_a: str, chat_b: str, thread_b: str):
    seats = [
        seat_of(wiring(partition=Partition.PER_THREAD), event())._replace(
            chat=ChatId(name), thread=thread or None
        )
        for name, thread in ((chat_a, thread_a), (chat_b, thread_b))
    ]
    assert (seats[0].key == seats[1].key) is (seats[0] == seats[1])
