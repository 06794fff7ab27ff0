"""What agents are told: in the host's words, on one line, with nothing foreign let loose in it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId
from ironclaw.core.sanitize import sanitize
from ironclaw.domain.change import Asker, Change, Decision, Grant, Row, Status
from ironclaw.domain.changes.base import Topic
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.services.gateway.words import words_for

CHANGE = Change(
    id=ChangeId("chg_c"),
    spec=SetPersona(agent=AgentId("agt_a"), persona="kind"),
    asker=Asker(principal=PrincipalId("agent:agt_a"), agent=AgentId("agt_a")),
    created_ms=0,
    expires_ms=1,
)
ROW = Row(change=CHANGE, hash="sha256:x", status=Status.DONE, updated_ms=0)
GRANT = Grant(
    id=GrantId("grn_c"), change=CHANGE.id, topic=Topic.PERSONA, kind="persona", agent=None,
    given_ms=0, expires_ms=1_800_000_000_000,
)  # fmt: skip


def decision(words: str) -> Decision:
    return Decision(
        principal=PrincipalId("api:bob"), person=PrincipalId("api:bob"), approved=True,
        hash="sha256:x", state="sha256:y", card=1, proof=None, at_ms=0, words=words,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (Status.DONE, "is in force, until 2027-01-15 08:00 UTC."),
        (Status.DENIED, "was denied."),
        (Status.EXPIRED, "has expired"),
        (Status.WITHDRAWN, "was withdrawn."),
        (Status.OVERTAKEN, 'is over, as nothing was left to do: "it is full"'),
        (Status.FAILED, 'could not be applied: "it is full"'),
    ],
)
def test_each_end_has_its_words(status: Status, says: str) -> None:
    row = msgspec.structs.replace(ROW, status=status, problem="it is full", grant=GRANT)
    text = words_for(row)
    assert text.startswith("Your request chg_c (Change who an agent is) ")
    assert says in text


@pytest.mark.parametrize("status", [Status.PENDING, Status.APPROVED, Status.APPLIED])
def test_what_is_under_way_is_nothing_to_tell(status: Status) -> None:
    assert words_for(msgspec.structs.replace(ROW, status=status)) == ""


def test_what_is_not_in_force_everywhere_is() -> None:
    row = msgspec.structs.replace(ROW, status=Status.APPLIED, code="airlock_failed", problem="x")
    assert "not in force everywhere yet" in words_for(row)


@pytest.mark.parametrize(
    ("why", "says"),
    [("revoked", "taken back"), ("expired", "time is over"), ("replaced", "another change")],
)
def test_an_end_of_what_was_given_comes_before_all_else(why: str, says: str) -> None:
    ended = msgspec.structs.replace(GRANT, ended_ms=1, ended_why=why)
    text = words_for(msgspec.structs.replace(ROW, grant=ended, decisions=(decision("yes"),)))
    assert says in text
    assert "yes" not in text


@given(st.text(max_size=3000))
def test_foreign_words_stay_within_their_quotes(words: str) -> None:
    for row in (
        msgspec.structs.replace(ROW, decisions=(decision(words),)),
        msgspec.structs.replace(ROW, status=Status.FAILED, problem=words),
        msgspec.structs.replace(
            ROW,
            grant=msgspec.structs.replace(
                GRANT, ended_ms=1, ended_why="revoked", ended_words=words
            ),
        ),
    ):
        text = words_for(row)
        assert text.count('"') in {0, 2}
        assert sanitize(text) == text
        assert len(text) < 1000
