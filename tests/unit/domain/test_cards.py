"""A card shows all of a change: whatever is another change is another card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.cards import naive, texts_of
from tests.support.specs import changes, texts

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChangeId, PrincipalId, SessionId
from ironclaw.domain.cards import MAX_CHARS, MAX_LINES, Line, Told, render
from ironclaw.domain.change import CARD_VERSION, Asker, Change, hash_of, state_version
from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.model import SetModel
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.changes.tasks import AddTask, RemoveTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.changes.wiring import AddWiring
from ironclaw.domain.characters import danger
from ironclaw.domain.model import Partition
from ironclaw.domain.policy import ApproverRule, Policy
from ironclaw.domain.tools import TOOLS

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import State
    from ironclaw.domain.changes.table import AnySpec

AGENT = AgentId("agt_a")
TOLD = Told(before={}, after={"x": 1}, bearing=Bearing.WIDENS, revocable=True)
slow = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
states = st.dictionaries(
    st.sampled_from(["persona", "tools", "model", "odd\u202e"]),
    st.none() | texts | st.integers(-5, 5) | st.lists(texts, max_size=4),
)


def change(spec: AnySpec, **more: object) -> Change:
    plain = Change(
        id=ChangeId("chg_a"),
        spec=spec,
        asker=Asker(principal=PrincipalId("api:ann")),
        created_ms=0,
        expires_ms=60_000,
    )
    return msgspec.structs.replace(plain, **more)


def diff(before: State, after: State, spec: AnySpec | None = None) -> list[str]:
    card = render(change(spec or SetTools(agent=AGENT)), TOLD._replace(before=before, after=after))
    return [f"{line.sign} {line.label}: {line.text}" for line in card.diff]


# --- whatever is another change is another card ---------------------------------------------------


@pytest.mark.parametrize("kind", SPECS)
@slow
@given(data=st.data())
def test_any_other_value_of_any_field_of_a_spec_is_another_card_and_another_hash(
    kind: str, data: st.DataObject
) -> None:
    one = data.draw(changes(kind))
    other = data.draw(changes(kind)).spec
    field = data.draw(st.sampled_from(one.spec.__struct_fields__))
    value = getattr(other, field)
    assume(value != getattr(one.spec, field))
    changed = msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, **{field: value}))

    assert texts_of(render(one, TOLD)) != texts_of(render(changed, TOLD))
    assert hash_of(one) != hash_of(changed)


@pytest.mark.parametrize(
    "field", [one for one in Change.__struct_fields__ if one not in {"version", "spec"}]
)
@slow
@given(data=st.data())
def test_any_other_value_of_any_other_field_is_another_card_and_another_hash(
    field: str, data: st.DataObject
) -> None:
    one, other = data.draw(changes("agent.archive")), data.draw(changes("agent.archive"))
    assume(getattr(one, field) != getattr(other, field))
    changed = msgspec.structs.replace(one, **{field: getattr(other, field)})

    assert texts_of(render(one, TOLD)) != texts_of(render(changed, TOLD))
    assert hash_of(one) != hash_of(changed)


@slow
@given(states, states)
def test_any_difference_of_the_state_is_in_the_diff(before: State, after: State) -> None:
    card = render(change(SetTools(agent=AGENT)), TOLD._replace(before=before, after=after))
    missing_is_none = {key: before.get(key) for key in after} == {
        key: after[key] for key in after
    } and all(after.get(key) == before[key] for key in before)

    assert bool(card.diff) != missing_is_none
    assert card.state == state_version(before)
    minus = [(one.label, one.text) for one in card.diff if one.sign == "-"]
    plus = [(one.label, one.text) for one in card.diff if one.sign == "+"]
    assert minus != plus or not card.diff


@pytest.mark.parametrize("kind", SPECS)
@slow
@given(data=st.data())
def test_no_line_of_any_card_acts_or_hides(kind: str, data: st.DataObject) -> None:
    told = TOLD._replace(
        before=data.draw(states),
        after=data.draw(states),
        agent_name=data.draw(texts),
        asker_name=data.draw(texts),
    )

    for text in texts_of(render(data.draw(changes(kind)), told)):
        assert [character for character in text if danger(character)] == []


def test_two_changes_look_the_same_where_fields_are_only_written_down() -> None:
    """The weakened twin: text of a field that passes for another field."""
    one = change(SetTools(agent=AGENT, add=("a", "b", "c")))
    other = change(SetTools(agent=AGENT, add=("a', 'b", "c")))

    assert texts_of(naive(one, TOLD)) == texts_of(naive(other, TOLD))
    assert texts_of(render(one, TOLD)) != texts_of(render(other, TOLD))


# --- all of it, or nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SPECS)
def test_each_field_of_each_kind_has_a_label_of_its_own(kind: str) -> None:
    labels = SPECS[kind].labels

    assert set(labels) == set(SPECS[kind].__struct_fields__)
    assert len(set(labels.values())) == len(labels)


def test_a_field_without_a_label_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SetTools, "labels", {"agent": "agent", "add": "give"})

    with pytest.raises(UserError, match=r"'remove'.*cannot be shown") as caught:
        render(change(SetTools(agent=AGENT)), TOLD)
    assert caught.value.code is Code.INVALID


class LaterChange(Change, frozen=True, kw_only=True):
    """A change with a field that cards have no place for."""

    urgent: bool = True


def test_a_field_of_a_change_without_a_place_is_refused() -> None:
    plain = change(SetTools(agent=AGENT))
    later = LaterChange(**{key: getattr(plain, key) for key in plain.__struct_fields__})

    with pytest.raises(UserError, match=r"'urgent'.*cannot be shown"):
        render(later, TOLD)


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(UserError, match="half of a character"):
        render(change(SetPersona(agent=AGENT, persona="\ud800")), TOLD)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (SetPersona(agent=AGENT, persona="\n" * MAX_LINES), TOLD),
        (SetPersona(agent=AGENT, persona="\u200b" * (MAX_CHARS // 6)), TOLD),
        (SetPersona(agent=AGENT, persona="x" * 128 * 1024), TOLD),
        (SetTools(agent=AGENT), TOLD._replace(before={"persona": "\n" * 3 * MAX_LINES})),
    ],
    ids=["lines", "characters", "bytes", "lines to compare"],
)
def test_what_nobody_would_read_is_refused_and_never_cut(spec: AnySpec, told: Told) -> None:
    with pytest.raises(UserError, match="too long for anybody to read") as caught:
        render(change(spec), told)
    assert caught.value.code is Code.TOO_LARGE
    assert "Split" in caught.value.hint


def test_a_long_text_that_people_read_is_shown_to_its_end() -> None:
    rows = [f"row {number}" for number in range(400)]
    card = render(change(SetPersona(agent=AGENT, persona="\n".join(rows))), TOLD)

    assert [line.text for line in card.fields if line.foreign] == rows


# --- how it looks ---------------------------------------------------------------------------------


def test_a_card_is_bound_to_the_change_and_to_the_state() -> None:
    one = change(SetTools(agent=AGENT, add=("read_file",)))
    card = render(one, TOLD)

    assert (card.version, card.change, card.hash) == (CARD_VERSION, one.id, hash_of(one))
    assert card.state == state_version(TOLD.before)
    assert card.title == "agt_a: give the tool read_file"


def test_fields_are_shown_with_their_kind_of_value() -> None:
    card = render(change(SetTools(agent=AGENT, add=("read_file", "not set")), grant_s=7200), TOLD)

    assert card.fields == (
        Line(label="kind", text="tools"),
        Line(label="agent", text='"agt_a"'),
        Line(label="give[0]", text=f'"read_file" ({TOOLS["read_file"]})'),
        Line(label="give[1]", text='"not set"'),
        Line(label="not set", text="take away"),
    )
    assert [(line.label, line.text) for line in card.about] == [
        ("asked at", "1970-01-01 00:00:00 UTC"),
        ("expires if nobody has decided by", "1970-01-01 00:01:00 UTC"),
        ("lasts from when it is applied", "2 hours"),
        (
            "exactly",
            (
                'version 1, id "chg_a", asker.principal "api:ann", created_ms 0, expires_ms 60000,'
                " grant_s 7200"
            ),
        ),
    ]
    denied = render(change(SetTools(agent=AGENT), despite=ChangeId("chg_no")), TOLD)
    about = {line.label: line.text for line in denied.about}
    assert about["asked in spite of the denial"] == '"chg_no"'


def test_words_of_closed_sets_are_explained_and_nothing_else_is() -> None:
    spec = AddWiring(agent=AGENT, channel="shared", platform_id="drop", partition=Partition.SHARED)
    shown = {line.label: line.text for line in render(change(spec), TOLD).fields}

    assert shown["one session for each"] == '"shared" (chat, whoever writes in it)'
    assert (shown["channel"], shown["chat"]) == ('"shared"', '"drop"')
    solo = render(change(SetPolicy(policy=Policy(solo=True))), TOLD).fields
    assert Line(label="policy.solo", text="on (who asks for a change may approve it alone)") in solo


def test_an_empty_list_that_is_asked_for_is_not_one_that_was_left_out() -> None:
    left_out = render(change(SetModel(agent=AGENT, model="x/y")), TOLD).fields
    emptied = render(change(SetModel(agent=AGENT, model="x/y", fallbacks=())), TOLD).fields

    label = SetModel.labels["fallbacks"]
    assert label in left_out[-1].text
    assert Line(label=label, text="empty") in emptied
    assert label not in emptied[-1].text


def test_structs_inside_are_shown_to_their_last_value() -> None:
    policy = Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),))
    shown = {
        line.label: line.text for line in render(change(SetPolicy(policy=policy)), TOLD).fields
    }

    assert shown["policy.approvers[0].roles[2]"] == '"approver"'
    assert shown["policy.approvers[0].people"] == "2"
    assert shown["policy.pending_s"] == "604800 (7 days)"
    assert shown["policy.automatic"] == "empty"


def test_sizes_have_units() -> None:
    shown = {
        line.label: line.text
        for line in render(change(SetLimits(agent=AGENT, memory_bytes=2**28)), TOLD).fields
    }

    assert shown["memory"] == "268435456 (256 MiB)"
    assert "disk" in shown["not set"].split("; ")


def test_a_text_is_compared_row_by_row() -> None:
    spec = SetPersona(agent=AGENT, persona="x")

    assert diff({"persona": "a\nb\nc"}, {"persona": "a\nB\nc\n"}, spec) == [
        "- persona, line 2: b",
        "+ persona, line 2: B",
        "+ persona, line 4: ",
    ]


def test_a_text_under_the_label_of_its_field_is_compared_row_by_row_too() -> None:
    label = AddTask.labels["prompt"]
    spec = AddTask(
        agent=AGENT, name="t", channel="api", platform_id="x", prompt="a\nb", cron="* * * * *"
    )

    assert diff({label: None}, {label: "a\nb"}, spec) == [
        f"+ {label}, line 1: a",
        f"+ {label}, line 2: b",
    ]


def test_a_text_that_is_taken_away_is_compared_row_by_row_too() -> None:
    spec = RemoveTask(agent=AGENT, name="t")

    assert diff({"what it is told": "скажи\nb"}, {"what it is told": None}, spec) == [
        "- what it is told, line 1: скажи",
        "- what it is told, line 2: b",
    ]


def test_a_list_is_compared_thing_by_thing() -> None:
    assert diff({"tools": ["a", "b"]}, {"tools": ["b", "c"]}) == [
        '- tools, item 1: "a"',
        '+ tools, item 2: "c"',
    ]
    assert diff({"tools": []}, {"tools": ["a"]}) == ['+ tools, item 1: "a"']
    assert diff({"tools": ["a"]}, {"tools": []}) == ['- tools, item 1: "a"']
    assert diff({"tools": []}, {"tools": None}) == ["+ tools: not set"]
    assert diff({"tools": ["a", "b"]}, {"tools": ["b", "a"]}) != []


def test_what_stays_is_not_in_the_diff() -> None:
    assert diff({"model": "x", "tools": ["a"]}, {"model": "y", "tools": ["a"]}) == [
        '- model: "x"',
        '+ model: "y"',
    ]


def test_what_is_odd_in_the_state_of_now_is_warned_of_as_such() -> None:
    told = TOLD._replace(before={"model": "x\u200b"}, after={"model": "x"})

    assert render(change(SetTools(agent=AGENT)), told).warnings == (
        "model, as it is now: zero-width characters, shown as escapes: U+200B ZERO WIDTH SPACE",
    )


def test_what_is_odd_in_what_is_asked_for_is_said_once() -> None:
    persona = "x\u200b"
    told = TOLD._replace(before={"persona": ""}, after={"persona": persona})

    assert render(change(SetPersona(agent=AGENT, persona=persona)), told).warnings == (
        "persona: zero-width characters, shown as escapes: U+200B ZERO WIDTH SPACE",
    )


# --- what the host says ---------------------------------------------------------------------------


def said(told: Told = TOLD, **more: object) -> str:
    return "\n".join(render(change(SetTools(agent=AGENT), **more), told).notices)


def test_who_asks_is_in_the_words_of_the_host() -> None:
    asker = Asker(principal=PrincipalId("agent:agt_a"), agent=AGENT, session=SessionId("ses_s"))
    card = render(change(SetTools(agent=AGENT), asker=asker), TOLD._replace(asker_name='b"ot'))

    assert card.asker == 'the agent "b\\"ot" ("agt_a"), in the conversation "ses_s"'
    assert any("An agent asks" in notice for notice in card.notices)
    assert render(change(SetTools(agent=AGENT)), TOLD).asker == '"api:ann"'


@pytest.mark.parametrize("bearing", Bearing)
def test_what_it_does_to_rights_is_said(bearing: Bearing) -> None:
    assert said(TOLD._replace(bearing=bearing)).startswith(
        {"widens": "It widens", "narrows": "It only takes away", "alters": "It alters"}[bearing]
    )


@pytest.mark.parametrize(
    ("told", "more", "words"),
    [
        (TOLD, {}, "It has no time limit."),
        (TOLD, {"grant_s": 86_400}, "taken back by itself 1 day after it is applied"),
        (TOLD._replace(revocable=False), {}, "There is no way back"),
        (TOLD._replace(revocable=False), {"grant_s": 90}, "90 seconds, but cannot be taken back"),
        (TOLD, {}, "No reason is given."),
        (TOLD, {"reason": "why not"}, "nobody has checked them"),
        (TOLD._replace(solo=True), {}, "Solo mode is on"),
        (TOLD._replace(only_owner=True), {}, "only owner there is"),
        (TOLD._replace(people=2), {}, "approval of 2 different people"),
        (TOLD, {"despite": ChangeId("chg_no")}, 'denied before ("chg_no")'),
        (TOLD._replace(after={}), {}, "Nothing would be different"),
        (TOLD._replace(not_yet="It has ended."), {}, "cannot be approved as things are. It has"),
    ],
)
def test_what_else_matters_is_said(told: Told, more: dict[str, object], words: str) -> None:
    assert words in said(told, **more)


def test_what_changes_nothing_is_not_said_to_take_anything_away() -> None:
    """An empty difference would count as one that only takes away."""
    for bearing in Bearing:
        told = TOLD._replace(after={}, bearing=bearing)
        assert not any(words in said(told) for words in ("takes away", "It widens", "It alters"))


def test_what_is_so_for_a_time_is_not_said_to_make_no_difference() -> None:
    words = said(TOLD._replace(after={}, not_yet="It is so already for a time\u202e."))
    assert "Nothing would be different" not in words
    assert "for a time\\u202e." in words


def test_what_does_not_apply_is_not_said() -> None:
    for words in ("Solo", "only owner", "different people", "denied before", "no way back"):
        assert words not in said()
