"""Taint: what counts as foreign, how it is kept, and what it takes from a turn."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.changes.world import BOB, World
from tests.unit.domain.stepping import AGENT, Gateway

from ironclaw.core.errors import PolicyError
from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.domain import asking, taint
from ironclaw.domain.cards import Told, render
from ironclaw.domain.change import Asker, Change, Status, canonical, hash_of, parse_change
from ironclaw.domain.changes.base import Bearing, Live, Spec, Topic
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.policy import AutoRule, Policy, Verdict, verdict
from ironclaw.domain.taint import NONE, READS_FILES, RULES, STAYS, Taint
from ironclaw.domain.tools import TOOLS
from ironclaw_agent.tools import source
from ironclaw_contract.clean_tools import CLEAN
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said

_CALLS = st.sampled_from(["c1", "c2", "c3"])
_NAMES = st.sampled_from([*sorted(TOOLS), "unknown_tool"])
_ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Called, call=_CALLS, name=_NAMES, arguments=st.just("{}")),
    st.builds(Returned, call=_CALLS, text=st.sampled_from(["", "x tainted=yes y"])),
    st.builds(Answered, text=st.just("Hm.")),
)
_TURNS = st.lists(_ENTRIES, max_size=10)
_TAINTS = st.frozensets(st.sampled_from(list(Taint)))


def call(name: str, text: str = "") -> list[Entry]:
    return [Called(call="c1", name=name, arguments="{}"), Returned(call="c1", text=text)]


def said(message: str, *, foreign: bool = False) -> Said:
    return Said(message=message, sender="Ann", text="Hi.", at_ms=0, foreign=foreign)


# --- what is found --------------------------------------------------------------------------------


def test_each_name_of_a_list_is_a_tool_and_no_clean_tool_reads_files() -> None:
    assert CLEAN <= TOOLS.keys()
    assert READS_FILES <= TOOLS.keys()
    assert not READS_FILES & CLEAN


@pytest.mark.parametrize("name", [*sorted(TOOLS), "unknown_tool"])
def test_any_tool_that_is_not_clean_taints_its_turn(name: str) -> None:
    found = taint.of_entries(call(name), has_shared=False)
    assert found == (NONE if name in CLEAN else {Taint.READ})
    assert not taint.of_entries(call(name)[:1], has_shared=True), "it has not returned"
    shared = taint.of_entries(call(name), has_shared=True)
    assert (Taint.SHARED in shared) is (name in READS_FILES)


def test_a_result_that_nobody_asked_for_taints_and_an_answer_of_people_does_not() -> None:
    result = [Returned(call="q1", text="blue")]
    assert taint.of_entries(result, has_shared=True) == {Taint.READ}
    assert not taint.of_entries(result, has_shared=True, asked={"q1"})
    both = [Called(call="q1", name="read_file", arguments="{}"), *result]
    assert Taint.READ in taint.of_entries(both, has_shared=False, asked={"q1"}), "one id for two"


@pytest.mark.parametrize(
    ("name", "text", "is_tainted"),
    [
        ("memory_read", '<!-- memory session=s at=x tainted=yes from="A" -->\nEVIL', True),
        ("memory_read", '<!-- memory session=s at=x tainted=no from="A" -->\nTea.', False),
        ("memory_search", "notes (session s, Ann, x, tainted):\nEVIL", True),
        ("memory_search", "notes (session s, Ann, x):\nTea.", False),
        ("read_file", "tainted=yes", False),
    ],
)
def test_tainted_notes_count_when_they_are_shown(name: str, text: str, is_tainted: bool) -> None:
    found = taint.of_entries(call(name, text), has_shared=False)
    assert (Taint.MEMORY in found) is is_tainted
    assert Taint.READ in found


@given(_TURNS, _TURNS, st.booleans())
def test_more_of_a_turn_never_has_less(turn: list[Entry], more: list[Entry], has: bool) -> None:
    assert taint.of_entries(turn, has_shared=has) <= taint.of_entries(
        [*turn, *more], has_shared=has
    )


@given(_TURNS)
def test_box_and_host_find_the_same(turn: list[Entry]) -> None:
    assert source.is_tainted(turn) is bool(taint.of_entries(turn, has_shared=False))
    assert source.is_tainted([said("m1", foreign=True), *turn])
    assert source.is_tainted([said("m1"), *turn]) is source.is_tainted(turn)


@given(_TURNS, _TURNS)
def test_a_turn_begins_behind_its_message(before: list[Entry], turn: list[Entry]) -> None:
    entries = [said("m1"), *before, said("m2"), *turn]
    assert list(taint.part_of(entries, "m2")) == turn
    assert list(taint.part_of(entries, "m9")) == entries, "else all of it counts"


@given(st.booleans(), st.booleans(), _TAINTS)
def test_what_comes_with_a_message(stranger: bool, files: bool, came: taint.Taints) -> None:
    found = taint.of_message(is_stranger=stranger, has_files=files, came=came)
    assert found >= came
    assert found - came <= {Taint.STRANGER, Taint.FILE}
    assert (Taint.STRANGER in found) is (stranger or Taint.STRANGER in came)
    assert (Taint.FILE in found) is (files or Taint.FILE in came)


@given(_TAINTS)
def test_what_is_kept_is_read_again(taints: taint.Taints) -> None:
    assert taint.read(taint.kept(taints)) == taints
    assert set(taint.ordered(taints)) == taints
    assert bool(taint.in_words(taints)) is bool(taints)


def test_every_word_has_a_rule() -> None:
    assert RULES.keys() == set(Taint)
    assert {Taint.STRANGER, Taint.AGENT, Taint.FILE} == STAYS


def test_a_line_of_the_hosts_own_stands_above_what_is_sent() -> None:
    assert taint.marked("Hi.", NONE) == "Hi."
    line, text = taint.marked("Hi.", frozenset({Taint.FILE})).split("\n\n")
    assert line.startswith("[IronClaw: ")
    assert "a file that came with a message" in line
    assert text == "Hi."


# --- what it takes --------------------------------------------------------------------------------

_REMOVE = SetTools(agent=BOB, remove=("clock",))
_TAINTED = msgspec.structs.replace(AGENT, taint=(Taint.AGENT, Taint.READ))


def change_of(asker: Asker) -> Change:
    return Change(
        id=ChangeId("chg_1"), spec=_REMOVE, asker=asker, reason="x", created_ms=0, expires_ms=9
    )


def test_a_change_that_asks_without_taint_has_the_form_that_it_always_had() -> None:
    clean = change_of(AGENT)
    assert b"taint" not in canonical(clean)
    tainted = change_of(_TAINTED)
    assert b'"taint":["agent","read"]' in canonical(tainted)
    assert hash_of(tainted) != hash_of(clean)
    for one in (clean, tainted):
        assert parse_change(canonical(one)) == one
    assert clean.asker.tainted == ()


def ruled(rule: AutoRule) -> Gateway:
    world = World()
    world.policy = Policy(automatic=(rule,))
    return Gateway(world)


def test_no_rule_approves_what_a_tainted_turn_asks_for() -> None:
    allow = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    write = ruled(allow).ask(_REMOVE, _TAINTED)
    assert write.status is Status.PENDING
    assert write.decision is None
    assert write.audit[0].words == ("agent", "read")


def test_the_same_rule_approves_it_in_a_clean_turn() -> None:
    """The twin of the one above: without taint the rule lets it through."""
    allow = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    write = ruled(allow).ask(_REMOVE, AGENT)
    assert write.status is Status.APPROVED
    assert write.audit[0].words == ()


def test_without_the_rule_it_would_be_approved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weakened twin: a policy that does not look at taint lets it through."""

    def blind(policy: Policy, spec: Spec, live: Live, *, lasts: bool, is_tainted: bool) -> Verdict:
        assert is_tainted
        return verdict(policy, spec, live, lasts=lasts)

    monkeypatch.setattr(asking, "verdict", blind)
    allow = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    assert ruled(allow).ask(_REMOVE, _TAINTED).status is Status.APPROVED


def test_what_waits_of_a_tainted_turn_counts_as_any_other() -> None:
    allow = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    gateway = ruled(allow)
    gateway.pending = gateway.world.policy.max_pending
    with pytest.raises(PolicyError) as caught:
        gateway.ask(_REMOVE, _TAINTED)
    assert caught.value.code == "rate_limited"


_TOLD = Told(
    before={"tools": ["clock"]}, after={"tools": []}, bearing=Bearing.NARROWS, revocable=True
)


def test_a_card_says_what_foreign_content_there_was() -> None:
    tainted = msgspec.structs.replace(AGENT, taint=(Taint.STRANGER, Taint.READ))
    card = render(change_of(tainted), _TOLD)
    (line,) = [one for one in card.about if one.label == "foreign content before its agent"]
    assert line.text == taint.in_words((Taint.STRANGER, Taint.READ))
    assert any("no rule of the policy approves it" in one for one in card.notices)
    (exact,) = [one.text for one in card.about if one.label == "exactly"]
    assert "asker.taint[0]" in exact


def test_the_card_of_a_clean_turn_says_nothing_of_it() -> None:
    """The twin of the one above: the line is there because of the taint."""
    for asker in (AGENT, Asker(principal=PrincipalId("api:ann"))):
        card = render(change_of(asker), _TOLD)
        assert not [one for one in card.about if "foreign" in one.label]
        assert not [one for one in card.notices if "foreign content" in one]
